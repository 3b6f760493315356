/**
 * The resources of the API: what each may be filtered and sorted by (wire/school42.md §2.7), in which order it comes, how a row looks. It knows no HTTP; `query.ts`
 * applies it.
 */
import type { School, SchoolTable } from './school.js'
import {
  achievementShape,
  cursusUserShape,
  flatShape,
  fullUserShape,
  locationShape,
  projectShape,
  projectsUserShape,
  sessionShape,
} from './shapes.js'
import { fieldOf, type Order } from './table.js'

/** A value that a filter is compared with: text of it, or of any of a list. */
export type FilterValue = (row: object, moment: Moment) => unknown
export interface Moment {
  readonly school: School
  /** The server's time, as the rows write it. */
  readonly now: string
}

export interface Resource {
  readonly table: SchoolTable
  /** Filter name to value; null: accepted, and does not filter. */
  readonly filters: ReadonlyMap<string, FilterValue | null>
  /** Fields of the row that `sort` and `range` take. */
  readonly sortable: readonly string[]
  readonly order: Order
  /** Whether a row is shown, in a list. */
  readonly shape: (row: never, school: School) => object
  /** The form of one row by its id, where it is another. */
  readonly fullShape?: (row: never, school: School) => object
}

const idDescending: Order = [{ field: 'id', descending: true }]
const createdDescending: Order = [{ field: 'created_at', descending: true }, ...idDescending]
const beginDescending: Order = [{ field: 'begin_at', descending: true }, ...idDescending]

const isPast = (value: unknown, { now }: Moment) => typeof value === 'string' && value <= now
const past = (field: string): FilterValue => {
  return (row, moment) => isPast(fieldOf(row, field), moment)
}
const future: FilterValue = (row, moment) => !isPast(fieldOf(row, 'begin_at'), moment)
const active: FilterValue = (row, moment) =>
  isPast(fieldOf(row, 'begin_at'), moment) && !isPast(fieldOf(row, 'end_at'), moment)
const primaryCampus = (field: string): FilterValue => {
  return (row, { school }) => school.primaryCampusOf(Number(fieldOf(row, field)))
}

/** By the word in the address: `/v2/cursus_users`. Where the documents name no filter or order, the fields of the row and id descending. */
export const resources: Readonly<Record<string, Resource>> = {
  campus: resource('campuses', 'id name time_zone country city active public'),
  cursus: resource('cursus', 'id name slug kind created_at'),
  projects: resource('projects', 'id name slug parent_id exam created_at updated_at', { shape: projectShape }),
  project_sessions: resource(
    'project_sessions',
    `id project_id campus_id cursus_id estimate_time created_at updated_at begin_at end_at max_people duration_days terminating_after solo
     is_subscriptable team_behaviour difficulty`,
    { shape: sessionShape, computed: { future, end: past('end_at') } },
  ),
  achievements: resource('achievements', 'id name kind tier visible parent_id nbr_of_success', {
    shape: achievementShape,
  }),
  // The documents know no filter, and the score is not sortable.
  coalitions: { ...resource('coalitions', ''), sortable: ['id', 'name', 'slug'] },
  users: resource(
    'users',
    'id login email created_at updated_at first_name last_name pool_year pool_month kind alumni? staff?',
    {
      computed: { status: () => null, primary_campus_id: primaryCampus('id') },
      fullShape: fullUserShape,
    },
  ),
  campus_users: {
    ...resource('campus_users', 'is_primary campus_id user_id'),
    sortable: stamped('id is_primary campus_id user_id'),
  },
  cursus_users: resource(
    'cursus_users',
    'id cursus_id user_id created_at updated_at begin_at end_at has_coalition blackholed_at level',
    {
      shape: cursusUserShape,
      order: createdDescending,
      computed: {
        active,
        // The primary campus: who has moved is not found at the old one.
        campus_id: primaryCampus('user_id'),
        end: past('end_at'),
        future,
        blackholed: past('blackholed_at'),
      },
    },
  ),
  projects_users: resource(
    'projects_users',
    'id project_id user_id created_at updated_at occurrence final_mark retriable_at marked_at status marked',
    {
      shape: projectsUserShape,
      // Not `cursus_id` and `campus_id`; and the first does not filter.
      computed: { cursus: null, campus: primaryCampus('user_id'), retriable: past('retriable_at') },
    },
  ),
  achievements_users: resource('achievements_users', 'id user_id achievement_id nbr_of_success created_at updated_at', {
    computed: { rewarded: () => null },
  }),
  coalitions_users: {
    ...resource('coalitions_users', 'id coalition_id user_id created_at updated_at', {
      order: createdDescending,
      computed: { this_year_score: (row) => fieldOf(row, 'score'), this_year_score_updated_at: () => null },
    }),
  },
  locations: resource('locations', 'id user_id campus_id begin_at end_at primary host', {
    shape: locationShape,
    order: beginDescending,
    computed: {
      active: (row) => fieldOf(row, 'end_at') === null,
      inactive: (row) => fieldOf(row, 'end_at') !== null,
      future,
      end: past('end_at'),
    },
  }),
}

interface More {
  readonly shape?: Resource['shape']
  readonly fullShape?: Resource['shape']
  readonly order?: Order
  readonly computed?: Readonly<Record<string, FilterValue | null>>
}

function resource(table: SchoolTable, fields: string, more: More = {}): Resource {
  const names = words(fields)
  const own = names.map((name): [string, FilterValue | null] => [name, (row) => fieldOf(row, name)])
  return {
    table,
    filters: new Map([...own, ...Object.entries(more.computed ?? {})]),
    sortable: names,
    order: more.order ?? idDescending,
    shape: more.shape ?? flatShape,
    ...(more.fullShape === undefined ? {} : { fullShape: more.fullShape }),
  }
}

function stamped(fields: string): readonly string[] {
  return [...words(fields), 'created_at', 'updated_at']
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
