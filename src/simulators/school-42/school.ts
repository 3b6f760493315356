/**
 * The simulated school's tables together, with the few questions that go across them. It knows no HTTP and no randomness; `catalogue.ts`, `people.ts` and
 * `relations.ts` fill it, `changes.ts` changes it.
 */
import type {
  AchievementRow,
  AchievementsUserRow,
  CampusAchievementRow,
  CampusProjectRow,
  CampusRow,
  CampusUserRow,
  CoalitionRow,
  CoalitionsUserRow,
  CursusProjectRow,
  CursusRow,
  CursusUserRow,
  LocationRow,
  ProjectRow,
  ProjectsUserRow,
  SessionRow,
  UserRow,
} from './rows.js'
import { Table } from './table.js'

/** The row of each table, by the table's name. */
export interface SchoolRows {
  readonly campuses: CampusRow
  readonly cursus: CursusRow
  readonly projects: ProjectRow
  readonly project_sessions: SessionRow
  readonly achievements: AchievementRow
  readonly coalitions: CoalitionRow
  readonly users: UserRow
  readonly campus_users: CampusUserRow
  readonly cursus_users: CursusUserRow
  readonly projects_users: ProjectsUserRow
  readonly achievements_users: AchievementsUserRow
  readonly coalitions_users: CoalitionsUserRow
  readonly locations: LocationRow
  readonly campus_projects: CampusProjectRow
  readonly cursus_projects: CursusProjectRow
  readonly campus_achievements: CampusAchievementRow
}
export type SchoolTable = keyof SchoolRows

/** Tables that only link two others: their id is on no wire. */
const linkers: readonly SchoolTable[] = ['campus_projects', 'cursus_projects', 'campus_achievements']

type Tables = { readonly [Name in SchoolTable]: Table<SchoolRows[Name]> }

export class School implements Tables {
  readonly campuses = new Table<CampusRow>('campuses', 1)
  readonly cursus = new Table<CursusRow>('cursus', 1)
  readonly projects = new Table<ProjectRow>('projects', 1314)
  readonly project_sessions = new Table<SessionRow>('project_sessions', 3001)
  readonly achievements = new Table<AchievementRow>('achievements', 41)
  readonly coalitions = new Table<CoalitionRow>('coalitions', 10)
  readonly users = new Table<UserRow>('users', 200_001)
  readonly campus_users = new Table<CampusUserRow>('campus_users', 190_001)
  readonly cursus_users = new Table<CursusUserRow>('cursus_users', 310_001)
  readonly projects_users = new Table<ProjectsUserRow>('projects_users', 4_000_001)
  readonly achievements_users = new Table<AchievementsUserRow>('achievements_users', 500_001)
  readonly coalitions_users = new Table<CoalitionsUserRow>('coalitions_users', 69_780)
  readonly locations = new Table<LocationRow>('locations', 23_000_001)
  readonly campus_projects = new Table<CampusProjectRow>('campus_projects', 1)
  readonly cursus_projects = new Table<CursusProjectRow>('cursus_projects', 1)
  readonly campus_achievements = new Table<CampusAchievementRow>('campus_achievements', 1)
  #lastTeamId = 6_000_000
  #primary: { readonly version: number; readonly campusByUser: ReadonlyMap<number, number> } = {
    version: -1,
    campusByUser: new Map(),
  }
  #logins: { readonly version: number; readonly byLogin: ReadonlyMap<string, UserRow> } = {
    version: -1,
    byLogin: new Map(),
  }

  nextTeamId(): number {
    this.#lastTeamId += 1
    return this.#lastTeamId
  }

  /** The user's primary campus, or null for one that has none (or is unknown). */
  primaryCampusOf(userId: number): number | null {
    const { version } = this.campus_users
    if (this.#primary.version !== version) {
      const primary = this.campus_users.all().filter((row) => row.is_primary)
      this.#primary = { version, campusByUser: new Map(primary.map((row) => [row.user_id, row.campus_id])) }
    }
    return this.#primary.campusByUser.get(userId) ?? null
  }

  userByLogin(login: string): UserRow | undefined {
    const { version } = this.users
    if (this.#logins.version !== version) {
      this.#logins = { version, byLogin: new Map(this.users.all().map((row) => [row.login, row])) }
    }
    return this.#logins.byLogin.get(login)
  }

  /** The table of this name. @throws RangeError for another name. */
  table(name: string): Table<SchoolRows[SchoolTable]> {
    const table: unknown = Object.hasOwn(this, name) ? this[name as SchoolTable] : undefined
    if (!(table instanceof Table)) throw new RangeError(`the school has no table "${name}"`)
    return table as Table<SchoolRows[SchoolTable]>
  }

  /** What the table holds now, by ascending id (linkers: by their two ids, which are all they have). */
  truth<Name extends SchoolTable>(name: Name): readonly SchoolRows[Name][] {
    const rows = this.table(name).all() as unknown as readonly SchoolRows[Name][]
    if (!linkers.includes(name)) return rows
    return rows.map(({ id: _, ...link }) => link as unknown as SchoolRows[Name])
  }
}
