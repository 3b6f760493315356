/**
 * What happens at a school while nobody freezes it, one kind a function (wire/school42.md §2.6, §2.10). Some changes move `updated_at`, some do not, and what is
 * deleted leaves no trace: that is what makes windows over `updated_at` not enough. Randomness and time come from the caller.
 */
import { pick, type Random, wholeBetween } from '../synthetic.js'
import { mainCursusId } from './catalogue.js'
import { addUser, joinCampus, joinCursus, levelOf } from './people.js'
import { beginLocation, beginProject, joinCoalition, marked, winAchievement } from './relations.js'
import type { UserRow } from './rows.js'
import type { School } from './school.js'
import { dayMs, type Oddities, stamp } from './size.js'

export interface Happening {
  readonly school: School
  readonly random: Random
  /** Unix ms that the rows will say: now, or a little before, for a change that is committed late. */
  readonly atMs: number
  readonly oddities: Oddities
}

/** Each does one thing, or nothing where there is nothing to do it to. */
export const changeKinds = {
  userCreated,
  userUpdated: (now: Happening) =>
    changeUser(now, { wallet: wholeBetween(now.random, 0, 900), updated_at: stamp(now.atMs) }),
  /** Without `updated_at`. */
  userChangedSilently: (now: Happening) => changeUser(now, { correction_point: wholeBetween(now.random, -2, 40) }),
  usersUpdatedTogether,
  /** With everything that names the user, and no tombstone. */
  userDeleted,
  userMoved,
  levelGained,
  /** Without `updated_at`. */
  blackholeMoved,
  projectBegun,
  projectMarked,
  projectUnregistered,
  /** Without `updated_at`. */
  projectGivenUp,
  achievementWon,
  achievementLost,
  /** A coalition has no `updated_at`; its members' score and rank move without theirs. */
  coalitionScored,
  membershipJoined,
  membershipLeft,
  locationBegun,
  locationEnded,
  locationDeleted,
  sessionChanged,
  offerChanged,
} as const
export type ChangeKind = keyof typeof changeKinds

/** How often each kind happens, relative to the others; a busy day. */
export const usualWeights: Readonly<Record<ChangeKind, number>> = {
  userCreated: 4,
  userUpdated: 20,
  userChangedSilently: 4,
  usersUpdatedTogether: 2,
  userDeleted: 2,
  userMoved: 2,
  levelGained: 10,
  blackholeMoved: 2,
  projectBegun: 8,
  projectMarked: 8,
  projectUnregistered: 4,
  projectGivenUp: 2,
  achievementWon: 6,
  achievementLost: 2,
  coalitionScored: 4,
  membershipJoined: 2,
  membershipLeft: 2,
  locationBegun: 14,
  locationEnded: 14,
  locationDeleted: 2,
  sessionChanged: 1,
  offerChanged: 1,
}

function userCreated({ school, random, atMs, oddities }: Happening): void {
  const user = addUser(school, { random, createdMs: atMs, updatedMs: atMs, oddities })
  joinCampus(school, user, { random, atMs, notCampusId: null })
  joinCursus(school, user, { random, cursusId: mainCursusId, atMs, oddities })
  joinCoalition(school, user.id, { random, atMs })
}

function changeUser({ school, random }: Happening, change: Partial<UserRow>): void {
  const user = school.users.any(random)
  if (user !== null) school.users.update(user.id, change)
}

function usersUpdatedTogether(now: Happening): void {
  for (let count = wholeBetween(now.random, 2, 6); count > 0; count -= 1) {
    changeUser(now, { wallet: wholeBetween(now.random, 0, 900), updated_at: stamp(now.atMs) })
  }
}

function userDeleted({ school, random }: Happening): void {
  const user = school.users.any(random)
  if (user !== null) deleteUser(school, user.id)
}

/** Deletes a user and everything that names them. @throws RangeError for an unknown one. */
export function deleteUser(school: School, userId: number): void {
  school.users.delete(userId)
  for (const row of [...school.campus_users.values()]) {
    if (row.user_id === userId) leaveCampus(school, row)
  }
  const named = ['cursus_users', 'projects_users', 'achievements_users', 'coalitions_users', 'locations'] as const
  for (const name of named) {
    const table = school.table(name)
    const ids = [...table.values()].filter((row) => 'user_id' in row && row.user_id === userId).map((row) => row.id)
    for (const id of ids) table.delete(id)
  }
}

function leaveCampus(school: School, row: { readonly id: number; readonly campus_id: number }): void {
  school.campus_users.delete(row.id)
  const campus = school.campuses.get(row.campus_id)
  if (campus !== undefined) school.campuses.update(campus.id, { users_count: campus.users_count - 1 })
}

/** The primary campus becomes another one; the old membership ends or stays as a second one. The user's own `updated_at` does not move. */
function userMoved({ school, random, atMs }: Happening): void {
  const user = school.users.any(random)
  const old = [...school.campus_users.values()].filter((row) => row.user_id === user?.id)
  const primary = old.find((row) => row.is_primary)
  if (user === null || primary === undefined) return
  const other = old.find((row) => !row.is_primary)
  if (other === undefined) {
    const joined = joinCampus(school, user, { random, atMs, notCampusId: primary.campus_id })
    if (joined === null) return
    school.campus_users.update(joined.id, { is_primary: true })
  } else {
    school.campus_users.update(other.id, { is_primary: true, updated_at: stamp(atMs) })
  }
  if (random() < 0.5) leaveCampus(school, primary)
  else school.campus_users.update(primary.id, { is_primary: false, updated_at: stamp(atMs) })
}

function levelGained({ school, random, atMs, oddities }: Happening): void {
  const row = school.cursus_users.any(random)
  if (row !== null) school.cursus_users.update(row.id, { level: levelOf(random, oddities), updated_at: stamp(atMs) })
}

function blackholeMoved({ school, random, atMs }: Happening): void {
  const row = school.cursus_users.any(random)
  if (row !== null)
    school.cursus_users.update(row.id, { blackholed_at: stamp(atMs + wholeBetween(random, 1, 90) * dayMs) })
}

function projectBegun({ school, random, atMs }: Happening): void {
  const [user, project] = [school.users.any(random), school.projects.any(random)]
  if (user !== null && project !== null) beginProject(school, user, { random, projectId: project.id, atMs })
}

function projectMarked({ school, random, atMs, oddities }: Happening): void {
  const row = school.projects_users.any(random)
  if (row !== null) school.projects_users.update(row.id, marked(random, atMs, oddities))
}

function projectUnregistered({ school, random }: Happening): void {
  const row = school.projects_users.any(random)
  if (row !== null) school.projects_users.delete(row.id)
}

function projectGivenUp({ school, random }: Happening): void {
  const row = school.projects_users.any(random)
  if (row !== null) school.projects_users.update(row.id, { status: 'finished', 'validated?': false, final_mark: 0 })
}

function achievementWon({ school, random, atMs }: Happening): void {
  const [user, achievement] = [school.users.any(random), school.achievements.any(random)]
  if (user !== null && achievement !== null)
    winAchievement(school, user, { random, achievementId: achievement.id, atMs })
}

function achievementLost({ school, random }: Happening): void {
  const row = school.achievements_users.any(random)
  if (row !== null) school.achievements_users.delete(row.id)
}

function coalitionScored({ school, random }: Happening): void {
  const member = school.coalitions_users.any(random)
  if (member === null) return
  const won = wholeBetween(random, 1, 42)
  const rank = wholeBetween(random, 1, 400)
  school.coalitions_users.update(member.id, { score: member.score + won, rank })
  const coalition = school.coalitions.get(member.coalition_id)
  if (coalition !== undefined) school.coalitions.update(coalition.id, { score: coalition.score + won })
}

function membershipJoined({ school, random, atMs }: Happening): void {
  const user = school.users.any(random)
  if (user !== null) joinCoalition(school, user.id, { random, atMs })
}

function membershipLeft({ school, random }: Happening): void {
  const row = school.coalitions_users.any(random)
  if (row !== null) school.coalitions_users.delete(row.id)
}

function locationBegun({ school, random, atMs }: Happening): void {
  const user = school.users.any(random)
  const campusId = user === null ? null : school.primaryCampusOf(user.id)
  if (user === null || campusId === null || user.location !== null) return
  const { host } = beginLocation(school, user, { random, campusId, atMs })
  school.users.update(user.id, { location: host, updated_at: stamp(atMs) })
}

/** One that is not stuck: those have no user who sits there. */
function locationEnded({ school, random, atMs }: Happening): void {
  const open = [...school.locations.values()].filter((row) => {
    return row.end_at === null && school.users.get(row.user_id)?.location === row.host
  })
  if (open.length === 0) return
  const row = pick(random, open)
  school.locations.update(row.id, { end_at: stamp(atMs) })
  school.users.update(row.user_id, { location: null, updated_at: stamp(atMs) })
}

function locationDeleted({ school, random }: Happening): void {
  const row = school.locations.any(random)
  if (row !== null) school.locations.delete(row.id)
}

function sessionChanged({ school, random, atMs }: Happening): void {
  const row = school.project_sessions.any(random)
  if (row !== null)
    school.project_sessions.update(row.id, { max_people: wholeBetween(random, 1, 9), updated_at: stamp(atMs) })
}

/** A campus stops offering a project, or begins to. */
function offerChanged({ school, random }: Happening): void {
  const [link, campus] = [school.campus_projects.any(random), school.campuses.any(random)]
  if (link === null || campus === null) return
  const offered = [...school.campus_projects.values()]
  const isThere = offered.some((row) => row.campus_id === campus.id && row.project_id === link.project_id)
  if (isThere) school.campus_projects.delete(link.id)
  else {
    const id = school.campus_projects.nextId()
    school.campus_projects.insert({ id, campus_id: campus.id, project_id: link.project_id })
  }
}
