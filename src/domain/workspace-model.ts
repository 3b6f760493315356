import type { ConfigError, Problem } from './errors.js'
import type { LogLevel } from './ports.js'
import type { Source } from './source-model.js'

/** A workspace as the commands use it: resolved once at the edge, frozen. Secrets are only in `environment` and `database`. */
export interface Workspace {
  /** Absolute. */
  readonly directory: string
  /** `<directory>/queue.db` unless set. */
  readonly queueFile: string
  /** `<directory>/.backfill`. */
  readonly stateDirectory: string
  /** null: none is configured, exit 2 for every command that needs one. */
  readonly database: DatabaseSetting | null
  /** Why `database` is null although one is configured (`$DATABASE_URL` is not set): thrown by a command that needs it. */
  readonly databaseProblem?: ConfigError
  /** What is allowed and yet worth a word: a password written in plain, `http:` to another machine. No secrets. */
  readonly notes?: readonly string[]
  /** True for the first command after a change of backfill.yaml or a definition: the notes were not told before. */
  readonly areNotesNew?: boolean
  /** Schema of tables that name none, `public` by default. */
  readonly schema: string
  /** Prefix of delta tables, `delta_` by default. */
  readonly deltaPrefix: string
  /** IANA zone for text and for "today". */
  readonly timezone: string
  readonly logLevel: LogLevel
  readonly metrics: { readonly enabled: boolean; readonly intervalMs: number }
  /** Default of `worker --max-runtime`, ms; null: without a terminal 4 h. */
  readonly maxRuntimeMs: number | null
  readonly sources: Readonly<Record<string, Source>>
  /** Definitions that were left out for their mistakes: they stop nobody but themselves. */
  readonly broken: readonly BrokenSource[]
  /** Process environment over `.env`; what `$NAME` in a definition means. */
  readonly environment: Readonly<Record<string, string | undefined>>
}
/** A definition with mistakes. */
export interface BrokenSource {
  /** Relative to the workspace. */
  readonly file: string
  /** The source's name where it could be read. */
  readonly name: string | null
  readonly problems: readonly Problem[]
}
export type DatabaseSetting = { readonly kind: 'embedded' } | { readonly kind: 'server'; readonly url: string }
