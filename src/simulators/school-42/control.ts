/**
 * Control of a simulated School 42 by another process, beside what every simulator has:
 *
 * - `GET /-/truth` all tables by name, `GET /-/truth?table=users` one of them: the rows as they are now, by id. `known=1` leaves out rows that name an unknown user.
 * - `POST /-/mutate` `[{"table": "users", "update": 200001, "set": {"wallet": 1}}, {"table": "users", "delete": 200002}, {"table": …, "insert": {…}},
 *   {"change": "userDeleted", "times": 3}]`: in this order. `"touch": true` beside an update sets `updated_at` to now.
 * - `POST /-/churn?steps=N` steps by the rules of the switch; `POST /-/freeze`, `POST /-/thaw`; `GET /-/changes[?after=N]` the steps so far.
 * - `POST /-/revoke` every token; `GET /-/least[?size=100]` what a full load costs at least.
 */
import type { SimulatorRequest } from '../simulator.js'
import { leastRequests } from './audit.js'
import { deleteUser } from './changes.js'
import type { School, SchoolRows, SchoolTable } from './school.js'
import type { School42Service } from './service.js'
import { stamp } from './size.js'
import type { School42Switches } from './switches.js'

const schoolTables: readonly SchoolTable[] = [
  'campuses',
  'cursus',
  'projects',
  'project_sessions',
  'achievements',
  'coalitions',
  'users',
  'campus_users',
  'cursus_users',
  'projects_users',
  'achievements_users',
  'coalitions_users',
  'locations',
  'campus_projects',
  'cursus_projects',
  'campus_achievements',
]

/** One change by hand; `insert` is a whole row in the form of the truth. A deleted user takes along everything that names them. */
export type Mutation =
  | { readonly table: SchoolTable; readonly insert: { readonly id: number } }
  | { readonly table: SchoolTable; readonly update: number; readonly set: object; readonly touch?: boolean }
  | { readonly table: SchoolTable; readonly delete: number }
  | { readonly change: string; readonly times?: number }

/** Answers a control request; undefined: not one of these. @throws RangeError for a table, row or kind that is not there. */
export function control(request: SimulatorRequest, service: School42Service, switches: School42Switches): unknown {
  const { searchParams, pathname } = request.url
  const number = (name: string, usual: number) => Number(searchParams.get(name) ?? usual)
  const at = Date.now()
  switch (`${request.method} ${pathname}`) {
    case 'GET /-/truth':
      service.churn.catchUp(switches.churn, at)
      return truths(service.school, searchParams)
    case 'POST /-/mutate':
      for (const mutation of JSON.parse(request.body) as Mutation[]) mutate(service, mutation, at)
      return {}
    case 'POST /-/churn':
      service.churn.step(number('steps', 1), switches.churn, at)
      return {}
    case 'POST /-/freeze':
      service.churn.catchUp(switches.churn, at)
      service.churn.freeze()
      return {}
    case 'POST /-/thaw':
      service.churn.thaw()
      return {}
    case 'POST /-/revoke':
      service.tokens.revokeAll()
      return {}
    case 'GET /-/changes':
      return service.churn.changes(number('after', 0))
    case 'GET /-/least':
      return leastRequests(service.school, number('size', 100))
    default:
      return undefined
  }
}

/** @throws RangeError for a table, row or kind that is not there. */
export function mutate(service: School42Service, mutation: Mutation, at: number): void {
  if ('change' in mutation) {
    for (let time = 0; time < (mutation.times ?? 1); time += 1) service.churn.change(mutation.change, at)
    return
  }
  const table = service.school.table(mutation.table)
  if ('insert' in mutation) table.insert(mutation.insert as SchoolRows[SchoolTable])
  else if ('update' in mutation)
    table.update(mutation.update, { ...mutation.set, ...(mutation.touch === true ? { updated_at: stamp(at) } : {}) })
  else if (mutation.table === 'users') deleteUser(service.school, mutation.delete)
  else table.delete(mutation.delete)
}

/** The rows of a table as they are now. @throws RangeError for an unknown table. */
export function truthOf<Name extends SchoolTable>(
  school: School,
  name: Name,
  rows: 'all' | 'of known users',
): readonly SchoolRows[Name][] {
  const truth = school.truth(name)
  if (rows === 'all') return truth
  return truth.filter(
    (row) => !('user_id' in row) || row.user_id === null || school.users.get(row.user_id) !== undefined,
  )
}

function truths(school: School, asked: URLSearchParams): unknown {
  const rows = asked.get('known') === '1' ? 'of known users' : 'all'
  const name = asked.get('table')
  if (name !== null) return truthOf(school, name as SchoolTable, rows)
  return Object.fromEntries(schoolTables.map((table) => [table, truthOf(school, table, rows)]))
}
