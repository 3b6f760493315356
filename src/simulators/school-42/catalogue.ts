/**
 * The part of a simulated school that hardly changes: campuses, cursus, projects with their sessions, achievements, coalitions, and what is offered where.
 * Everything is invented.
 */
import { pick, type Random, wholeBetween } from '../synthetic.js'
import type { CampusRow, ProjectRow, SessionRow } from './rows.js'
import type { School } from './school.js'
import { dayMs, type SchoolSize, stamp } from './size.js'

/** Ids as at the source: the main cursus is 21, and so is a campus, which is how the two came to be confused. */
export const mainCursusId = 21
export const poolCursusId = 9
const campusIds = [1, 9, 13, 21, 22, 31, 40, 51]
const campusNames = ['Harbor', 'Lagoon', 'Dunes', 'Fjord', 'Orchard', 'Quarry', 'Meadow', 'Lighthouse']
const zones = ['Europe/Paris', 'Asia/Singapore', 'America/Sao_Paulo', 'Etc/UTC']
const topics = ['Parser', 'Shell', 'Printer', 'Maze', 'Garden', 'Orbit', 'Ledger', 'Harbor', 'Loom', 'Kettle']
const verbs = ['Mini', 'Push', 'Inter', 'Super', 'Little']
const tiers = ['none', 'easy', 'medium', 'hard', 'challenge']
const kinds = ['project', 'social', 'pedagogy', 'scolarity']
const colors = ['#0E12B5', '#B5120E', '#12B50E', '#B5A80E']

/** Fills all tables that name no user. */
export function fillCatalogue(school: School, size: SchoolSize, random: Random): void {
  addCampuses(school, size)
  addCursus(school)
  addProjects(school, size, random)
  addSessions(school, size, random)
  addAchievements(school, size, random)
  addCoalitions(school, size, random)
}

/** Campuses that users may belong to: all but the closed one. */
export function openCampuses(school: School): readonly CampusRow[] {
  return school.campuses.all().filter((campus) => campus.active)
}

function addCampuses(school: School, size: SchoolSize): void {
  const count = Math.max(3, size.campuses)
  for (let place = 0; place < count; place += 1) {
    const name = `${campusNames[place % campusNames.length] ?? ''}${place < campusNames.length ? '' : ` ${place}`}`
    const isSparse = size.oddities.shapes && place % 3 === 1
    school.campuses.insert({
      id: campusIds[place] ?? 60 + place,
      name,
      time_zone: zones[place % zones.length] ?? 'Etc/UTC',
      language: {
        id: 1 + (place % 3),
        name: ['Français', 'English', 'Português'][place % 3] ?? '',
        identifier: ['fr', 'en', 'pt'][place % 3] ?? '',
        created_at: '2014-11-02T16:43:38.466Z',
        updated_at: '2025-10-30T11:40:11.011Z',
      },
      users_count: 0,
      vogsphere_id: place % 2 === 0 ? place + 1 : null,
      country: 'Nowhere',
      address: `${place + 1}, "Quay" Street\nFloor ${place}`,
      zip: `0${1000 + place}`,
      city: `${name} Town`,
      ...(isSparse
        ? {}
        : { website: `https://${name.toLowerCase().replace(' ', '-')}.example/`, facebook: null, twitter: null }),
      active: place !== count - 1,
      public: place !== count - 2,
      email_extension: 'student.example',
      default_hidden_phone: place % 2 === 0,
      endpoint: place % 4 === 3 ? null : { id: place + 1, url: `https://endpoint-${place + 1}.example` },
    })
  }
}

function addCursus(school: School): void {
  const at = '2019-07-29T08:45:17.896Z'
  school.cursus.insert({ id: poolCursusId, created_at: at, name: 'C Pool', slug: 'c-pool', kind: 'pool' })
  school.cursus.insert({ id: mainCursusId, created_at: at, name: '42cursus', slug: '42cursus', kind: 'main' })
  school.cursus.insert({ id: 67, created_at: at, name: 'Discovery', slug: 'discovery', kind: 'external' })
}

function addProjects(school: School, size: SchoolSize, random: Random): void {
  const campuses = openCampuses(school)
  let parent: number | null = null
  for (let place = 0; place < size.projects; place += 1) {
    // Every tenth is a parent of the three after it.
    const isChild = place % 10 >= 1 && place % 10 <= 3
    const name = `${pick(random, verbs)} ${pick(random, topics)} ${String(place).padStart(2, '0')}`
    const createdMs = size.until - wholeBetween(random, 400, 2000) * dayMs
    const project: ProjectRow = school.projects.insert({
      id: school.projects.nextId(),
      name,
      slug: `42cursus-${name.toLowerCase().replaceAll(' ', '-')}`,
      difficulty: place % 5 === 4 ? null : wholeBetween(random, 1, 500) * 42,
      parent_id: isChild ? parent : null,
      created_at: stamp(createdMs),
      updated_at: stamp(createdMs + wholeBetween(random, 0, 390 * 24) * 3_600_000),
      exam: place % 9 === 8,
      git_id: place % 3 === 0 ? null : 7000 + place,
      repository: null,
      recommendation: place % 7 === 3 ? '<p>Read the "subject" twice.\\</p>' : null,
    })
    if (place % 10 === 0) parent = project.id
    const cursusId = place % 4 === 3 ? poolCursusId : mainCursusId
    school.cursus_projects.insert({ id: school.cursus_projects.nextId(), cursus_id: cursusId, project_id: project.id })
    // The last is offered nowhere.
    for (const campus of campuses) {
      if (place === size.projects - 1 || random() < 0.25) continue
      school.campus_projects.insert({
        id: school.campus_projects.nextId(),
        campus_id: campus.id,
        project_id: project.id,
      })
    }
  }
}

function addSessions(school: School, size: SchoolSize, random: Random): void {
  for (const project of school.projects.all()) {
    const offered = school.campus_projects.all().filter((link) => link.project_id === project.id)
    addSession(school, size, { random, projectId: project.id, campusId: null })
    for (const { campus_id: campusId } of offered) {
      if (random() < 0.3) addSession(school, size, { random, projectId: project.id, campusId })
    }
  }
}

function addSession(
  school: School,
  size: SchoolSize,
  of: { readonly random: Random; readonly projectId: number; readonly campusId: number | null },
): void {
  const { random, projectId, campusId } = of
  const id = school.project_sessions.nextId()
  const isOdd = size.oddities.shapes && id % 4 === 0
  const createdMs = size.until - wholeBetween(random, 30, 900) * dayMs
  const session: SessionRow = {
    id,
    solo: isOdd ? null : id % 2 === 0,
    begin_at: isOdd ? null : stamp(createdMs + dayMs),
    end_at: null,
    estimate_time: isOdd ? 432_000 : '5 days',
    difficulty: isOdd ? null : wholeBetween(random, 1, 500) * 42,
    objectives: isOdd ? null : ['Algorithms', 'Rigor, and "style"'],
    description: isOdd ? null : 'Write it twice.\nThrow one away.',
    duration_days: isOdd ? null : wholeBetween(random, 1, 60),
    terminating_after: isOdd ? wholeBetween(random, 10, 60) : null,
    project_id: projectId,
    campus_id: campusId,
    cursus_id: campusId === null ? null : mainCursusId,
    created_at: stamp(createdMs),
    updated_at: stamp(createdMs + wholeBetween(random, 0, 29) * dayMs),
    max_people: isOdd ? null : wholeBetween(random, 1, 4),
    is_subscriptable: isOdd ? null : true,
    team_behaviour: pick(random, ['user', 'upload', 'by_rule', 'none']),
    commit: null,
  }
  school.project_sessions.insert(session)
}

function addAchievements(school: School, size: SchoolSize, random: Random): void {
  for (let place = 0; place < size.achievements; place += 1) {
    const id = school.achievements.nextId()
    school.achievements.insert({
      id,
      name: `${pick(random, topics)} keeper ${place}`,
      description: `Keep the ${pick(random, topics).toLowerCase()} for ${place} days.`,
      tier: pick(random, tiers),
      kind: pick(random, kinds),
      visible: place % 6 !== 5,
      image: size.oddities.shapes && place % 5 === 2 ? null : `/uploads/achievement/image/${id}/keeper.svg`,
      nbr_of_success: place % 3 === 0 ? wholeBetween(random, 1, 42) : null,
      users_url: `https://api.intra.42.fr/v2/achievements/${id}/users`,
      parent_id: place % 8 === 7 ? id - 1 : null,
      ...(size.oddities.shapes && place % 4 === 1
        ? {}
        : { title: place % 10 === 0 ? `%login, keeper ${place}` : null }),
    })
    for (const campus of openCampuses(school)) {
      if (random() < 0.5) continue
      school.campus_achievements.insert({
        id: school.campus_achievements.nextId(),
        campus_id: campus.id,
        achievement_id: id,
      })
    }
  }
}

function addCoalitions(school: School, size: SchoolSize, random: Random): void {
  const names = ['Analysts', 'Menders', 'Walkers']
  for (const campus of openCampuses(school)) {
    for (const [place, name] of names.entries()) {
      const id = school.coalitions.nextId()
      const isSecond = id === 11 && size.oddities.sameSlug
      const isBare = id === 10 && size.oddities.sameSlug
      const slug = isSecond || id === 10 ? 'analysts' : `${campus.name}-${name}`.toLowerCase().replaceAll(' ', '-')
      school.coalitions.insert({
        id,
        name: `The ${campus.name} ${name}`,
        slug,
        image_url: isBare ? null : `https://images.example/coalition/${id}.svg`,
        cover_url: isBare ? null : `https://images.example/cover/${id}.jpg`,
        color: isBare ? null : (colors[place] ?? null),
        score: wholeBetween(random, -100, 50_000),
        user_id: null,
      })
    }
  }
}
