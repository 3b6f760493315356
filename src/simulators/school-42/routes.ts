/**
 * Which rows an address names (wire/school42.md §2.8): a whole resource, one row of it, or the rows of one parent. It knows no query and no access.
 */
import { type Resource, resources } from './resources.js'
import type { School } from './school.js'
import { fieldOf } from './table.js'

export type Target =
  | { readonly kind: 'list'; readonly resource: Resource; readonly isIn: ((row: object) => boolean) | null }
  | { readonly kind: 'row'; readonly resource: Resource; readonly row: object }
  /** A row that is not there, or the parent of a list. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'no route' }

/** Which rows of a resource belong to one parent. */
type Membership = (parentId: number, school: School) => (row: object) => boolean

const byField = (field: string): Membership => {
  return (parentId) => (row) => fieldOf(row, field) === parentId
}
/** Through a third table: its `other` where its `own` is the parent. */
const through = (
  table: 'campus_users' | 'cursus_users' | 'coalitions_users' | 'cursus_projects' | 'campus_achievements',
  own: string,
  other: string,
): Membership => {
  return (parentId, school) => {
    const ids = new Set<unknown>()
    for (const link of school.table(table).all()) if (fieldOf(link, own) === parentId) ids.add(fieldOf(link, other))
    return (row) => ids.has(fieldOf(row, 'id'))
  }
}

const nested: Readonly<Record<string, Membership>> = {
  'campus/users': through('campus_users', 'campus_id', 'user_id'),
  'campus/locations': byField('campus_id'),
  'campus/achievements': through('campus_achievements', 'campus_id', 'achievement_id'),
  'cursus/users': through('cursus_users', 'cursus_id', 'user_id'),
  'cursus/projects': through('cursus_projects', 'cursus_id', 'project_id'),
  'cursus/cursus_users': byField('cursus_id'),
  'users/cursus_users': byField('user_id'),
  'users/projects_users': byField('user_id'),
  'users/coalitions_users': byField('user_id'),
  'users/locations': byField('user_id'),
  'projects/projects_users': byField('project_id'),
  'projects/project_sessions': byField('project_id'),
  // Users, not memberships: taking the one for the other made 92,368 orphans once (wire/origins.md §1.1).
  'coalitions/users': through('coalitions_users', 'coalition_id', 'user_id'),
  'coalitions/coalitions_users': byField('coalition_id'),
}

export function targetOf(path: string, school: School): Target {
  const [version, name = '', id, inner, ...rest] = path.split('/').slice(1)
  const resource = resources[name]
  if (version !== 'v2' || resource === undefined || rest.length > 0) return { kind: 'no route' }
  if (id === undefined) return { kind: 'list', resource, isIn: null }
  const row = rowOf(resource, decodeURIComponent(id), school)
  if (inner === undefined) return row === undefined ? { kind: 'missing' } : { kind: 'row', resource, row }
  const membership = nested[`${name}/${inner}`]
  const innerResource = resources[inner]
  if (membership === undefined || innerResource === undefined) return { kind: 'no route' }
  if (row === undefined) return { kind: 'missing' }
  return { kind: 'list', resource: innerResource, isIn: membership(row.id, school) }
}

/** An address without its ids, to count by: `/v2/users/:id/locations`. */
export function routeOf(path: string): string {
  const [address = ''] = path.split('?')
  const [root = '', version = '', name = '', id, ...inner] = address.split('/')
  if (version !== 'v2') return address
  return [root, version, name, ...(id === undefined ? [] : [':id', ...inner])].join('/')
}

function rowOf(resource: Resource, id: string, school: School): { readonly id: number } | undefined {
  if (/^\d+$/.test(id)) return school.table(resource.table).get(Number(id))
  return resource.table === 'users' ? school.userByLogin(id) : undefined
}
