/**
 * What users do in a simulated school: projects, achievements, coalitions, and the machines they sit at. The same makers serve the first fill and what comes
 * later. Stuck locations, double memberships and memberships of unknown users are made here (traps 10 and 11 of wire/traps.md).
 */
import { pick, type Random, wholeBetween } from '../synthetic.js'
import { mainCursusId } from './catalogue.js'
import type { CoalitionsUserRow, LocationRow, ProjectsUserRow, UserRow } from './rows.js'
import type { School } from './school.js'
import { dayMs, type Oddities, type SchoolSize, stamp } from './size.js'

const openStatuses = [
  'in_progress',
  'waiting_for_correction',
  'searching_a_group',
  'creating_group',
  'waiting_to_start',
]

/** Everything that names a user, for all users. */
export function fillRelations(school: School, size: SchoolSize, random: Random): void {
  const stuckEvery = Math.max(1, Math.floor(school.users.size / Math.max(1, size.oddities.stuckLocations)))
  let stuck = 0
  for (const [place, user] of school.users.all().entries()) {
    const many = (mean: number) => wholeBetween(random, 0, 2 * mean)
    takeProjects(school, user, { random, size, count: many(size.projectsPerUser) })
    winAchievements(school, user, { random, size, count: many(size.achievementsPerUser) })
    if (random() < 0.9) joinCoalition(school, user.id, { random, atMs: Date.parse(user.created_at) + 15 * dayMs })
    const isStuck = place % stuckEvery === 0 && stuck < size.oddities.stuckLocations
    if (isStuck) stuck += 1
    sitDown(school, user, { random, size, count: many(size.locationsPerUser), isStuck })
  }
  addOddMemberships(school, size, random)
}

/** A project that the user begins, or has had marked since. */
export function beginProject(
  school: School,
  user: UserRow,
  how: {
    readonly random: Random
    readonly projectId: number
    readonly atMs: number
    readonly marks?: Partial<ProjectsUserRow>
  },
): ProjectsUserRow {
  const at = stamp(how.atMs)
  return school.projects_users.insert({
    id: school.projects_users.nextId(),
    occurrence: 0,
    final_mark: null,
    status: pick(how.random, openStatuses),
    'validated?': null,
    current_team_id: school.nextTeamId(),
    project_id: how.projectId,
    cursus_ids: [mainCursusId],
    marked_at: null,
    marked: false,
    retriable_at: null,
    created_at: at,
    updated_at: at,
    user_id: user.id,
    ...how.marks,
  })
}

/** What changes when a project is marked. */
export function marked(random: Random, atMs: number, oddities: Oddities): Partial<ProjectsUserRow> {
  const mark = random() < 0.2 ? 125 : wholeBetween(random, 0, 100)
  const finalMark = oddities.shapes ? mark : Math.min(100, mark)
  return {
    status: 'finished',
    final_mark: finalMark,
    'validated?': finalMark >= 50,
    marked: true,
    marked_at: stamp(atMs - 1000),
    retriable_at: stamp(atMs + 2 * dayMs),
    updated_at: stamp(atMs),
  }
}

export function winAchievement(
  school: School,
  user: UserRow,
  how: { readonly random: Random; readonly achievementId: number; readonly atMs: number },
): void {
  const id = school.achievements_users.nextId()
  school.achievements_users.insert({
    id,
    achievement_id: how.achievementId,
    user_id: user.id,
    login: user.login,
    nbr_of_success: how.random() < 0.7 ? null : wholeBetween(how.random, 1, 9),
    url: `https://api.intra.42.fr/v2/achievements_users/${id}`,
    created_at: stamp(how.atMs),
    updated_at: stamp(how.atMs),
  })
}

export function joinCoalition(
  school: School,
  userId: number,
  how: { readonly random: Random; readonly atMs: number; readonly coalitionId?: number },
): CoalitionsUserRow {
  return school.coalitions_users.insert({
    id: school.coalitions_users.nextId(),
    coalition_id: how.coalitionId ?? pick(how.random, school.coalitions.all()).id,
    user_id: userId,
    score: wholeBetween(how.random, -50, 5000),
    rank: wholeBetween(how.random, 1, 400),
    created_at: stamp(how.atMs),
    updated_at: stamp(how.atMs),
  })
}

export function beginLocation(
  school: School,
  user: UserRow,
  how: { readonly random: Random; readonly campusId: number; readonly atMs: number; readonly endAt?: string | null },
): LocationRow {
  const { random, endAt = null } = how
  return school.locations.insert({
    end_at: endAt,
    id: school.locations.nextId(),
    begin_at: stamp(how.atMs),
    primary: random() < 0.97,
    host: `c${wholeBetween(random, 1, 4)}r${wholeBetween(random, 1, 12)}s${wholeBetween(random, 1, 9)}`,
    campus_id: how.campusId,
    user_id: user.id,
  })
}

interface Some {
  readonly random: Random
  readonly size: SchoolSize
  readonly count: number
}

function takeProjects(school: School, user: UserRow, { random, size, count }: Some): void {
  const projects = school.projects.all()
  const start = wholeBetween(random, 0, Math.max(0, projects.length - 1))
  const createdMs = Date.parse(user.created_at)
  for (let place = 0; place < Math.min(count, projects.length); place += 1) {
    const project = projects[(start + place) % projects.length]
    if (project === undefined) continue
    const atMs = between(random, createdMs, size.until)
    const marks = random() < 0.8 ? marked(random, between(random, atMs, size.until), size.oddities) : {}
    beginProject(school, user, { random, projectId: project.id, atMs, marks })
  }
}

function winAchievements(school: School, user: UserRow, { random, size, count }: Some): void {
  const achievements = school.achievements.all()
  const start = wholeBetween(random, 0, Math.max(0, achievements.length - 1))
  for (let place = 0; place < Math.min(count, achievements.length); place += 1) {
    const achievement = achievements[(start + place) % achievements.length]
    if (achievement === undefined) continue
    const atMs = between(random, Date.parse(user.created_at), size.until)
    winAchievement(school, user, { random, achievementId: achievement.id, atMs })
  }
}

function sitDown(school: School, user: UserRow, how: Some & { readonly isStuck: boolean }): void {
  const { random, size } = how
  const campusId = school.primaryCampusOf(user.id)
  if (campusId === null) return
  if (how.isStuck) beginLocation(school, user, { random, campusId, atMs: size.until - 300 * dayMs })
  for (let place = 0; place < how.count; place += 1) {
    const atMs = size.until - wholeBetween(random, 1, 60 * 24 * 60) * 60_000
    const isActive = place === how.count - 1 && random() < 0.02
    const endMs = Math.min(size.until, atMs + wholeBetween(random, 1, 600) * 60_000)
    const row = beginLocation(school, user, { random, campusId, atMs, endAt: isActive ? null : stamp(endMs) })
    if (isActive) school.users.update(user.id, { location: row.host })
  }
}

function addOddMemberships(school: School, size: SchoolSize, random: Random): void {
  const { duplicateMemberships, unknownMembers } = size.oddities
  const atMs = size.until - 100 * dayMs
  for (const row of school.coalitions_users.all().slice(0, duplicateMemberships)) {
    joinCoalition(school, row.user_id, { random, atMs, coalitionId: row.coalition_id })
  }
  for (let place = 0; place < unknownMembers; place += 1) {
    // Below every id that a user has, or ever gets.
    joinCoalition(school, 900 + place, { random, atMs })
  }
}

function between(random: Random, fromMs: number, toMs: number): number {
  return fromMs + Math.floor(random() * Math.max(0, toMs - fromMs))
}
