/**
 * Invented users: who they are, which campus and which cursus they are in. The same maker serves the first fill and users who come later.
 */
import { pick, type Random, wholeBetween } from '../synthetic.js'
import { mainCursusId, openCampuses, poolCursusId } from './catalogue.js'
import type { CampusUserRow, CursusUserRow, UserRow } from './rows.js'
import type { School } from './school.js'
import { dayMs, type Oddities, type SchoolSize, stamp } from './size.js'

const firstNames = ['Ada', 'Béla', 'Chloë', 'Dov', 'Émile', 'Fay', 'Gus', 'Hana', 'Ivo', 'Jun', 'Kaï', 'Lía']
const lastNames = [
  "O'Fict",
  'de la Mock',
  'Sample',
  'Ünreal',
  'Null',
  'Testa',
  'Placeholder',
  'Dummy',
  'Lorem',
  'Ipsum',
]
const months = ['july', 'august', 'september', 'february']
const skills = ['Unix', 'Rigor', 'Algorithms & AI', 'Graphics', 'Web', 'Network & system administration']

export interface NewUser {
  readonly random: Random
  readonly createdMs: number
  readonly updatedMs: number
  readonly oddities: Oddities
}

/** Users with their campus and cursus, in the order of their creation. */
export function fillUsers(school: School, size: SchoolSize, random: Random): void {
  const firstMs = size.until - 1400 * dayMs
  const step = (1395 * dayMs) / Math.max(1, size.users)
  const tiedMs = size.until - 40 * dayMs - 12_345
  const tied = Math.min(size.tiedUsers, Math.floor(size.users / 2))
  for (let place = 0; place < size.users; place += 1) {
    const createdMs = Math.floor(firstMs + place * step)
    // Those of the mass update sit side by side, so that one page cannot hold them all.
    const ownMs = createdMs + Math.floor(random() * (size.until - createdMs))
    const updatedMs = place < tied ? Math.max(tiedMs, createdMs) : ownMs
    const user = addUser(school, { random, createdMs, updatedMs, oddities: size.oddities })
    const home = joinCampus(school, user, { random, atMs: createdMs, notCampusId: null })
    if (random() < 0.05) joinCampus(school, user, { random, atMs: updatedMs, notCampusId: home?.campus_id ?? null })
    if (random() < 0.5)
      joinCursus(school, user, { random, cursusId: poolCursusId, atMs: createdMs, oddities: size.oddities })
    if (random() < 0.92)
      joinCursus(school, user, { random, cursusId: mainCursusId, atMs: createdMs, oddities: size.oddities })
  }
}

/** Adds a user who is in no campus and no cursus yet. */
export function addUser(school: School, { random, createdMs, updatedMs, oddities }: NewUser): UserRow {
  const id = school.users.nextId() + (random() < 0.1 ? wholeBetween(random, 1, 3) : 0)
  const first = pick(random, firstNames)
  const last = pick(random, lastNames)
  const login =
    `${first.charAt(0)}${last}`
      .toLowerCase()
      .replace(/[^a-z]/g, '')
      .slice(0, 5) + id.toString(36)
  const erasure = localDate(createdMs + 1100 * dayMs, oddities.shapes ? id % 3 : 2)
  const hasImage = random() >= 0.1
  const picture = (size: string) => (hasImage ? `https://images.example/${size}/${login}.jpg` : null)
  return school.users.insert({
    id,
    email: `${login}@student.example`,
    login,
    first_name: first,
    last_name: last,
    usual_full_name: `${first} ${last}`,
    usual_first_name: oddities.shapes && id % 4 !== 0 ? null : first,
    url: `https://api.intra.42.fr/v2/users/${login}`,
    phone: 'hidden',
    displayname: `${first} ${last}`,
    kind: id % 40 === 7 ? 'admin' : id % 40 === 9 ? 'external' : 'student',
    image: {
      link: hasImage ? `https://images.example/${login}.jpg` : null,
      versions: {
        large: picture('large'),
        medium: picture('medium'),
        small: picture('small'),
        micro: picture('micro'),
      },
    },
    'staff?': id % 40 === 7,
    correction_point: wholeBetween(random, -2, 20),
    pool_month: pick(random, months),
    pool_year: String(new Date(createdMs).getUTCFullYear()),
    location: null,
    wallet: wholeBetween(random, 0, 900),
    anonymize_date: erasure,
    data_erasure_date: erasure,
    created_at: stamp(createdMs),
    updated_at: stamp(updatedMs),
    alumnized_at: null,
    'alumni?': false,
    'active?': id % 5 !== 0,
  })
}

/** Adds a membership and counts it at the campus: the primary one, or, where the user has one, a second in another campus (null if that is the same). */
export function joinCampus(
  school: School,
  user: UserRow,
  how: { readonly random: Random; readonly atMs: number; readonly notCampusId: number | null },
): CampusUserRow | null {
  const open = openCampuses(school)
  const hidden = open.find((campus) => !campus.public)
  // The one that is not public has two members at most, by the ids that end in 99.
  const choice = open.filter((campus) => campus.public)
  const isHidden = user.id % 100 === 99 && hidden !== undefined && hidden.users_count < 2
  const campus = isHidden ? hidden : (choice[Math.floor(how.random() ** 1.6 * choice.length)] ?? pick(how.random, open))
  if (how.notCampusId === campus.id) return null
  school.campuses.update(campus.id, { users_count: campus.users_count + 1 })
  return school.campus_users.insert({
    id: school.campus_users.nextId(),
    user_id: user.id,
    campus_id: campus.id,
    is_primary: how.notCampusId === null,
    created_at: stamp(how.atMs),
    updated_at: stamp(how.atMs),
  })
}

export function joinCursus(
  school: School,
  user: UserRow,
  how: { readonly random: Random; readonly cursusId: number; readonly atMs: number; readonly oddities: Oddities },
): CursusUserRow {
  const { random, cursusId, atMs } = how
  const isMain = cursusId === mainCursusId
  const level = levelOf(random, how.oddities)
  return school.cursus_users.insert({
    id: school.cursus_users.nextId(),
    begin_at: stamp(atMs + 10 * dayMs),
    end_at: isMain ? null : stamp(atMs + 36 * dayMs),
    grade: isMain ? pick(random, ['Learner', 'Member']) : null,
    level,
    skills: [0, 1].map((place) => ({
      id: 1 + ((user.id + place) % skills.length),
      name: skills[(user.id + place) % skills.length] ?? '',
      level: levelOf(random, how.oddities),
    })),
    blackholed_at: isMain && random() < 0.6 ? stamp(atMs + wholeBetween(random, 60, 900) * dayMs) : null,
    cursus_id: cursusId,
    has_coalition: isMain,
    created_at: stamp(atMs),
    updated_at: user.updated_at,
    user_id: user.id,
  })
}

/** 5.300000000000001 rather than 5.3, as sums of binary fractions are. */
export function levelOf(random: Random, oddities: Oddities): number {
  const hundredths = wholeBetween(random, 0, 2100) / 100
  return oddities.shapes ? hundredths + 0.1 + 0.2 : hundredths
}

/** Midnight of the day in one of three zones; the third is Z's own. */
function localDate(ms: number, zone: number): string {
  const offset = ['+08:00', '-03:00', '+00:00'][zone] ?? '+00:00'
  return `${stamp(ms).slice(0, 10)}T00:00:00.000${offset}`
}
