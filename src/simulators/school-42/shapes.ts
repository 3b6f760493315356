/**
 * What the wire shows of a row (wire/school42.md §2.9): the keys in its order, other records embedded where the service embeds them. It reads the school and
 * changes nothing.
 */
import type {
  AchievementRow,
  CampusUserRow,
  CursusUserRow,
  LocationRow,
  ProjectRow,
  ProjectsUserRow,
  SessionRow,
  UserRow,
} from './rows.js'
import type { School } from './school.js'

/** Index form of a project; its campuses and cursus whole. */
export function projectShape(row: ProjectRow, school: School): object {
  const { id, name, slug, difficulty, parent_id: parentId, created_at, updated_at, exam, git_id, repository } = row
  const campuses = linked(school.campus_projects.all(), 'project_id', id).map((link) => link.campus_id)
  const cursus = linked(school.cursus_projects.all(), 'project_id', id).map((link) => link.cursus_id)
  const parent = parentId === null ? undefined : school.projects.get(parentId)
  return {
    id,
    name,
    slug,
    difficulty,
    parent: parent === undefined ? null : projectName(parent),
    children: school.projects
      .all()
      .filter((child) => child.parent_id === id)
      .map(projectName),
    attachments: [],
    created_at,
    updated_at,
    exam,
    git_id,
    repository,
    recommendation: row.recommendation,
    cursus: cursus.map((cursusId) => school.cursus.get(cursusId)),
    campus: campuses.map((campusId) => school.campuses.get(campusId)),
    videos: [],
    project_sessions: linked(school.project_sessions.all(), 'project_id', id).map(sessionFields),
  }
}

export function sessionShape(row: SessionRow, school: School): object {
  const project = school.projects.get(row.project_id)
  const { commit, ...fields } = sessionFields(row)
  return {
    ...fields,
    commit,
    project: project === undefined ? null : { id: project.id, name: project.name, slug: project.slug },
    ...(row.campus_id === null ? {} : { campus: school.campuses.get(row.campus_id) }),
    ...(row.cursus_id === null ? {} : { cursus: school.cursus.get(row.cursus_id) }),
    evaluations: [{ id: row.id + 10_000, kind: 'scale' }],
    project_sessions_rules: [
      {
        id: row.id + 20_000,
        required: true,
        position: 1,
        params: [],
        rule: { id: 4, kind: 'inscription', name: 'Solo' },
      },
    ],
  }
}

/** Index form of an achievement: its children, and the names of its campuses. */
export function achievementShape(row: AchievementRow, school: School): object {
  const { parent_id: parentId, title, ...fields } = row
  const parent = parentId === null ? undefined : school.achievements.get(parentId)
  const children = school.achievements.all().filter((child) => child.parent_id === row.id)
  const links = linked(school.campus_achievements.all(), 'achievement_id', row.id)
  return {
    ...fields,
    achievements: children.map(({ id, name }) => ({ id, name })),
    campus: links.map((link) => school.campuses.get(link.campus_id)?.name),
    ...(parent === undefined ? {} : { parent: { id: parent.id, name: parent.name } }),
    ...(title === undefined ? {} : { title }),
  }
}

export function cursusUserShape(row: CursusUserRow, school: School): object {
  const { user_id: userId, ...fields } = row
  return { ...fields, user: school.users.get(userId) ?? null, cursus: school.cursus.get(row.cursus_id) ?? null }
}

export function projectsUserShape(row: ProjectsUserRow, school: School): object {
  const user = school.users.get(row.user_id)
  return {
    ...projectsUserFields(row, school),
    user: user === undefined ? null : { id: user.id, login: user.login },
    teams: row.current_team_id === null ? [] : [team(row, row.current_team_id)],
  }
}

export function locationShape(row: LocationRow, school: School): object {
  const { user_id: userId, ...fields } = row
  return { ...fields, user: school.users.get(userId) ?? null }
}

/** `/v2/users/:id`: the index form and everything that names the user. */
export function fullUserShape(user: UserRow, school: School): object {
  const mine = <Row extends { readonly user_id: number }>(rows: readonly Row[]) => linked(rows, 'user_id', user.id)
  const campusUsers = mine<CampusUserRow>(school.campus_users.all())
  return {
    ...user,
    groups: [],
    cursus_users: mine(school.cursus_users.all()).map((row) => cursusUserShape(row, school)),
    projects_users: mine(school.projects_users.all()).map((row) => projectsUserFields(row, school)),
    languages_users: [{ id: user.id, language_id: 2, user_id: user.id, position: 1, created_at: user.created_at }],
    achievements: mine(school.achievements_users.all()).map((row) => {
      const achievement = school.achievements.get(row.achievement_id)
      return achievement === undefined ? null : achievementShape(achievement, school)
    }),
    titles: [],
    titles_users: [],
    partnerships: [],
    patroned: [],
    patroning: [],
    expertises_users: [],
    roles: [],
    campus: campusUsers.map((row) => school.campuses.get(row.campus_id)),
    campus_users: campusUsers,
  }
}

/** A form that the wire shows as the row is. */
export function flatShape(row: object): object {
  return row
}

function projectsUserFields(row: ProjectsUserRow, school: School): object {
  const project = school.projects.get(row.project_id)
  const { id, occurrence, final_mark, status, current_team_id, cursus_ids, marked_at, marked, retriable_at } = row
  return {
    id,
    occurrence,
    final_mark,
    status,
    'validated?': row['validated?'],
    current_team_id,
    project:
      project === undefined
        ? null
        : { id: project.id, name: project.name, slug: project.slug, parent_id: project.parent_id },
    cursus_ids,
    marked_at,
    marked,
    retriable_at,
    created_at: row.created_at,
    updated_at: row.updated_at,
  }
}

function sessionFields(row: SessionRow) {
  const { id, solo, begin_at, end_at, estimate_time, difficulty, objectives, description, duration_days } = row
  const { terminating_after, project_id, campus_id, cursus_id, created_at, updated_at, max_people } = row
  return {
    id,
    solo,
    begin_at,
    end_at,
    estimate_time,
    difficulty,
    objectives,
    description,
    duration_days,
    terminating_after,
    project_id,
    campus_id,
    cursus_id,
    created_at,
    updated_at,
    max_people,
    is_subscriptable: row.is_subscriptable,
    scales: [{ id: id + 30_000, correction_number: id % 3 === 0 ? null : 3, is_primary: true }],
    uploads: [{ id: id + 40_000, name: 'Checks' }],
    team_behaviour: row.team_behaviour,
    commit: row.commit,
  }
}

function team(row: ProjectsUserRow, id: number): object {
  return {
    id,
    name: `group-${id}`,
    final_mark: row.final_mark,
    project_id: row.project_id,
    created_at: row.created_at,
    updated_at: row.updated_at,
    status: row.status,
    users: [{ id: row.user_id, leader: true, occurrence: row.occurrence, validated: row['validated?'] }],
    'locked?': row.marked,
    'validated?': row['validated?'],
    'closed?': row.marked,
  }
}

function projectName({ id, name, slug }: ProjectRow): object {
  return { id, name, slug, url: `https://api.intra.42.fr/v2/projects/${id}` }
}

function linked<Row extends object>(rows: readonly Row[], field: keyof Row, id: number): Row[] {
  return rows.filter((row) => row[field] === id)
}
