/**
 * The rows of the simulated School 42 as its database holds them: what the wire shows (wire/school42.md §2.9), with other records named by id in place of
 * embedded. Times are ISO strings with milliseconds and Z, but for the two dates that carry a local offset. This form is also the truth that a
 * destination is compared with.
 */

export interface CampusRow {
  readonly id: number
  readonly name: string
  readonly time_zone: string
  readonly language: {
    readonly id: number
    readonly name: string
    readonly identifier: string
    readonly created_at: string
    readonly updated_at: string
  }
  readonly users_count: number
  readonly vogsphere_id: number | null
  readonly country: string
  readonly address: string
  readonly zip: string
  readonly city: string
  /** These three are absent on some campuses, not null. */
  readonly website?: string | null
  readonly facebook?: string | null
  readonly twitter?: string | null
  readonly active: boolean
  readonly public: boolean
  readonly email_extension: string
  readonly default_hidden_phone: boolean
  readonly endpoint: { readonly id: number; readonly url: string } | null
}

export interface CursusRow {
  readonly id: number
  readonly created_at: string
  readonly name: string
  readonly slug: string
  readonly kind: string
}

export interface ProjectRow {
  readonly id: number
  readonly name: string
  readonly slug: string
  readonly difficulty: number | null
  readonly parent_id: number | null
  readonly created_at: string
  readonly updated_at: string
  readonly exam: boolean
  readonly git_id: number | null
  readonly repository: string | null
  readonly recommendation: string | null
}

export interface SessionRow {
  readonly id: number
  readonly solo: boolean | null
  readonly begin_at: string | null
  readonly end_at: string | null
  /** A string; older rows have whole seconds. */
  readonly estimate_time: string | number | null
  readonly difficulty: number | null
  readonly objectives: readonly string[] | null
  readonly description: string | null
  readonly duration_days: number | null
  readonly terminating_after: number | null
  readonly project_id: number
  /** null: the default session, for every campus that has none of its own. */
  readonly campus_id: number | null
  readonly cursus_id: number | null
  readonly created_at: string
  readonly updated_at: string
  readonly max_people: number | null
  readonly is_subscriptable: boolean | null
  readonly team_behaviour: string
  readonly commit: string | null
}

export interface AchievementRow {
  readonly id: number
  readonly name: string
  readonly description: string
  readonly tier: string
  readonly kind: string
  readonly visible: boolean
  readonly image: string | null
  readonly nbr_of_success: number | null
  readonly users_url: string
  readonly parent_id: number | null
  /** Absent on some. */
  readonly title?: string | null
}

export interface CoalitionRow {
  readonly id: number
  readonly name: string
  readonly slug: string
  readonly image_url: string | null
  readonly cover_url: string | null
  readonly color: string | null
  readonly score: number
  readonly user_id: number | null
}

export interface UserRow {
  readonly id: number
  readonly email: string
  readonly login: string
  readonly first_name: string
  readonly last_name: string
  readonly usual_full_name: string
  readonly usual_first_name: string | null
  readonly url: string
  readonly phone: string
  readonly displayname: string
  readonly kind: string
  readonly image: {
    readonly link: string | null
    readonly versions: Readonly<Record<'large' | 'medium' | 'small' | 'micro', string | null>>
  }
  readonly 'staff?': boolean
  readonly correction_point: number
  readonly pool_month: string
  /** A string at the source. */
  readonly pool_year: string
  readonly location: string | null
  readonly wallet: number
  /** With the offset of the campus. */
  readonly anonymize_date: string
  readonly data_erasure_date: string
  readonly created_at: string
  readonly updated_at: string
  readonly alumnized_at: string | null
  readonly 'alumni?': boolean
  readonly 'active?': boolean
}

export interface CampusUserRow {
  readonly id: number
  readonly user_id: number
  readonly campus_id: number
  readonly is_primary: boolean
  readonly created_at: string
  readonly updated_at: string
}

export interface CursusUserRow {
  readonly id: number
  readonly begin_at: string
  readonly end_at: string | null
  readonly grade: string | null
  readonly level: number
  readonly skills: readonly { readonly id: number; readonly name: string; readonly level: number }[]
  readonly blackholed_at: string | null
  readonly cursus_id: number
  readonly has_coalition: boolean
  readonly created_at: string
  readonly updated_at: string
  readonly user_id: number
}

export interface ProjectsUserRow {
  readonly id: number
  readonly occurrence: number
  readonly final_mark: number | null
  readonly status: string
  readonly 'validated?': boolean | null
  readonly current_team_id: number | null
  readonly project_id: number
  readonly cursus_ids: readonly number[]
  readonly marked_at: string | null
  readonly marked: boolean
  readonly retriable_at: string | null
  readonly created_at: string
  readonly updated_at: string
  readonly user_id: number
}

export interface AchievementsUserRow {
  readonly id: number
  readonly achievement_id: number
  readonly user_id: number
  readonly login: string
  readonly nbr_of_success: number | null
  readonly url: string
  readonly created_at: string
  readonly updated_at: string
}

export interface CoalitionsUserRow {
  readonly id: number
  readonly coalition_id: number
  readonly user_id: number
  readonly score: number
  readonly rank: number
  readonly created_at: string
  readonly updated_at: string
}

export interface LocationRow {
  readonly end_at: string | null
  readonly id: number
  readonly begin_at: string
  readonly primary: boolean
  readonly host: string
  readonly campus_id: number
  readonly user_id: number
}

/** Which campus offers which project, and so on. The id is the simulator's own and is on no wire. */
export interface CampusProjectRow {
  readonly id: number
  readonly campus_id: number
  readonly project_id: number
}
export interface CursusProjectRow {
  readonly id: number
  readonly cursus_id: number
  readonly project_id: number
}
export interface CampusAchievementRow {
  readonly id: number
  readonly campus_id: number
  readonly achievement_id: number
}
