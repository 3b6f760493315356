import type { Auth } from './auth.js'
import type { ParkRules } from './controls.js'
import type { Json, JsonPath } from './json.js'
import type { Backwards, FanOut, Incremental, ManyValues, RequiredRows, RowDimension, Windows } from './walk-model.js'

/**
 * The canonical form of a source: plain, frozen, JSON-serialisable data, made from YAML or TypeScript by `src/definition`.
 * Nothing in it is a secret: `$NAME` in a template names an environment value that only `src/source` resolves, at the request.
 */
export interface Source {
  readonly name: string
  /** May contain dimensions: `https://{subdomain}.acme.example`. Without a trailing slash. */
  readonly baseUrl: Template
  readonly headers: Readonly<Record<string, Template>>
  /** How it knows who asks; absent: it does not, or by a header of its own. */
  readonly auth?: Auth
  readonly budget: BudgetRules
  readonly park: ParkRules
  readonly dimensions: Readonly<Record<string, Dimension>>
  readonly streams: Readonly<Record<string, Stream>>
  /** Free settings of this source in backfill.yaml that templates may name as `{config.NAME}`. */
  readonly config: Readonly<Record<string, string>>
  /** The file it was read from, for messages; `(built in)` plus the name for a shipped one. */
  readonly file: string
}

/**
 * Text with holes: `{dimension}`, `{dimension:M/D/YYYY}`, `{dimension.end}`, `{dimension.next}`, `{dimension.month_end - 1 month}` (dates), `{config.NAME}`, `{cursor}` (where the stream
 * paginates by cursor), `$NAME` or `${NAME}` (environment, secret). `{{` and `}}` are braces, `$$` is a dollar sign.
 */
export type Template = string

// ---------------------------------------------------------------------------------------------------------------- budget

export interface BudgetRules {
  /** All windows must allow a request. Empty where the source declares none. */
  readonly limits: readonly Limit[]
  /** Part of each limit that the worker leaves to whoever waits at a terminal (`verify`, `seed --dry-run`), 0 to 1. */
  readonly reserve: number
  /** The key that requests are counted under: template-free text, by default the source's name. */
  readonly key: string
  /** Statuses that mean "over the limit". */
  readonly refusals: readonly number[]
  /** Least time between the starts of two requests, ms. */
  readonly delayMs: number
  /** Requests of this source in flight at once, at most. */
  readonly concurrency: number
  /** Share of every limit that `verify` may use while a worker may need it, 0 to 1. */
  readonly verifyShare: number
  /** Limits that empty at a moment of the calendar; absent: none. */
  readonly quotas?: readonly Quota[]
  /** Windows that the source tells of in headers of its answers; absent: none. */
  readonly headers?: readonly LimitHeaders[]
  /** SQLite file that keeps this budget for several workspaces, absolute once the workspace is loaded; absent: queue.db. */
  readonly file?: string
}
export interface Limit {
  readonly requests: number
  readonly periodMs: number
}
/** So many requests between two resets, whenever they were sent. */
export interface Quota {
  readonly requests: number
  readonly per: 'day' | 'month'
  /** Minutes after midnight at which it empties; of a month, on its first day. */
  readonly resetMinute: number
  /** IANA zone of that midnight. */
  readonly zone: string
}
/** Names of the headers that tell of one window, in small letters; `reset` is in seconds from the answer, or in Unix seconds or ms. */
export interface LimitHeaders {
  readonly periodMs: number
  readonly limit: string
  readonly remaining: string
  readonly reset: string | null
}
/** Part of a day, in minutes after midnight of the workspace's zone; over midnight where `to` is not behind `from`. */
export interface HourRange {
  readonly from: number
  readonly to: number
}

// ------------------------------------------------------------------------------------------------------------ dimensions

export type Dimension = DimensionRules & (ListDimension | DateDimension | RowDimension)
interface DimensionRules {
  /** Never part of `all`, and refused by name. */
  readonly exclude: readonly string[]
  /** Another word for a value, accepted on the command line: `agenda` for `agendas`. */
  readonly aliases: Readonly<Record<string, string>>
}
/** Values from the definition or, `fromConfig`, from backfill.yaml (already filled in). */
export interface ListDimension {
  readonly kind: 'list'
  readonly values: readonly string[]
  readonly fromConfig: string | null
}
/** One value per step; a value is the step's first day: `2024-01-02`, `2024-01` (month), `2024` (year), a Monday (week). */
export interface DateDimension {
  readonly kind: 'dates'
  /** `YYYY-MM-DD`. */
  readonly from: string
  /** `YYYY-MM-DD` (inclusive), `today` or `yesterday` in the workspace's zone. */
  readonly to: string
  readonly step: 'day' | 'week' | 'month' | 'year'
}

// --------------------------------------------------------------------------------------------------------------- streams

export interface Stream {
  readonly source: string
  readonly name: string
  /** Dimensions that partition it, in the order people read them. */
  readonly dimensions: readonly string[]
  readonly table: TableName
  readonly request: RequestShape
  readonly answer: AnswerShape
  readonly pagination: Pagination
  /** The dimension whose values are rows of another stream; null: none. */
  readonly fanOut: FanOut | null
  /** How changes are asked for; null: every walk asks for everything. */
  readonly incremental: Incremental | null
  /** How a full walk is cut into windows of time; null: it is not. */
  readonly windows: Windows | null
  /**
   * Columns that say to which partition a row belongs, by dimension. An answer with a row of another partition is refused; a dimension of dates means the days
   * of its value, both ends included.
   */
  readonly match: Readonly<Record<string, string>>
  /** Rows that backfill.yaml's filters name, looked for before a request is spent; absent: none. */
  readonly requires?: readonly RequiredRows[]
  readonly count: readonly CountRule[]
  /** `null`: the existing table's columns, each from the field of its name; a missing table gets key, dimensions and `record jsonb`. */
  readonly columns: readonly Column[] | null
  readonly key: readonly string[]
  /** Column that decides between two rows of one key; null: the later page wins. */
  readonly version: string | null
  readonly references: readonly Reference[]
  readonly disposition: Disposition
  /** How `mirror` and `replace` delete; the others never do. */
  readonly prune: PruneRules
  /** jsonb column that keeps fields no column names; null: they are reported once and dropped. */
  readonly extrasColumn: string | null
  /** What U+0000 and lone surrogates do: the row is held with its raw text, or they are taken out. */
  readonly unstorableText: 'hold' | 'strip'
  /** A new task for every finished partition after this long; null: only `seed` makes tasks. */
  readonly everyMs: number | null
  readonly settings: StreamSettings
  /** sha-256 of everything that changes what a walk would ask for. A walk begun under another hash starts again. */
  readonly requestHash: string
}
export interface TableName {
  readonly schema: string
  readonly name: string
}
/** `mirror` deletes at the end of a proven walk what the source no longer has; `replace` also holds the walk's rows back until then. */
export type Disposition = 'append' | 'merge' | 'mirror' | 'replace'

/** What must be true before a row that the source no longer brings is deleted. */
export interface PruneRules {
  /** What confirms that a row is gone, beside the walk that did not bring it: a second walk right away, the partition's next walk, or a request of its own. */
  readonly confirm: 'again' | 'later' | ConfirmRequest
  /** Rows in scope that one walk may delete: a share (0 to 1) or a number. More needs an operator's word. */
  readonly most: { readonly share: number } | { readonly rows: number }
  /** Deletes although rows of other tables go with it, by `on delete cascade`, `set null` or `set default`. */
  readonly cascades: boolean
}
/** One request for each row, whose templates may name the key's columns. */
export interface ConfirmRequest {
  readonly request: RequestShape
  /** Statuses that say "gone"; any good answer says "still there", everything else says nothing. Empty with `many`. */
  readonly gone: readonly number[]
  /** Asks for many rows at once: those that the answer lists are still there, the others are gone. Only for keys of one column; null: a request each. */
  readonly many: ManyValues | null
}

export interface RequestShape {
  readonly method: 'GET' | 'POST'
  readonly path: Template
  readonly query: Readonly<Record<string, Template>>
  readonly headers: Readonly<Record<string, Template>>
  /** JSON with templates in its strings, or null. Page parameters go into it where `bodyParams` is set. */
  readonly body: Json
  /** Fields of a body that is a form (`application/x-www-form-urlencoded`), in the place of JSON; absent: none. */
  readonly form?: Readonly<Record<string, Template>>
  /** True: page, size and cursor parameters are set in the body's top level, not in the query. */
  readonly bodyParams: boolean
  /** What it costs of each limit; absent: what its stream's requests cost. */
  readonly weight?: number
}

/** A value of an answer: a header or a place in its JSON. */
export type Extract = { readonly header: string } | { readonly path: JsonPath }

export type Pagination =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'page'; readonly param: string; readonly first: number } & Numbered)
  | ({ readonly kind: 'offset'; readonly param: string } & Numbered)
  | ({
      readonly kind: 'cursor'
      readonly from: Extract
      readonly param: string
      /** What every page but the first is asked by, with the cursor and without the size; absent: the stream's request. */
      readonly next?: RequestShape
    } & Followed)
  /** The last row of a page says where the next one begins: its value at `row`, unique and in the order of the rows. A page without rows means the end. */
  | (LastRow & Sized)
  /** An object of several parameters, each put into the next request; absent or null means the end. */
  | ({ readonly kind: 'continue'; readonly from: JsonPath } & Followed)
  /** RFC 8288 `Link`; relative addresses are resolved. No such link means the end. */
  | ({ readonly kind: 'link'; readonly rel: string } & Followed)
  /** A field with the next address, absolute or relative; absent, null or empty means the end. */
  | ({ readonly kind: 'nextUrl'; readonly from: Extract } & Followed)

interface Sized {
  /** Parameter for the page size; null: none is sent. The size itself is `settings.pageSize`. */
  readonly sizeParam: string | null
}
interface Numbered extends Sized {
  /** Total number of rows; where it is exact it ends the walk without an extra request. */
  readonly total: Extract | null
  /** From the last page to the first; absent: from the first on. Needs a total. */
  readonly backwards?: Backwards
  /** Number of pages in all. */
  readonly pages: Extract | null
  /** Size that the server used, where it says so. */
  readonly usedSize: Extract | null
  /** As of {@link LastRow}; absent: it does not say. */
  readonly more?: Extract
  readonly done?: Extract
  readonly end: {
    /** True: fewer rows than the page size (the used one where known, else the one asked for) is the end. */
    readonly shortPage: boolean
    /** Errors that mean "past the end", never on the first page. */
    readonly errors: readonly EndError[]
  }
}
interface LastRow {
  readonly kind: 'lastRow'
  readonly row: JsonPath
  readonly param: string
  /** Where the answer says whether there is more: false means the end. null: it does not say. */
  readonly more: Extract | null
  /** Where it says the opposite: true means the end. Absent: it does not. At most one of the two. */
  readonly done?: Extract
  readonly end: Numbered['end']
}
interface Followed extends Sized {
  /** As of {@link LastRow}, beside a next step that is named at the end, too; absent: it does not say. */
  readonly more?: Extract
  readonly done?: Extract
  /** Answers to a later page that mean "I do not know this position any more": the walk begins anew. Absent: none do. */
  readonly expired?: readonly EndError[]
  /** Signs of the end beside a missing next step; absent: none. */
  readonly end?: {
    /** A page without rows is the end, though it names a next step. */
    readonly emptyPage: boolean
    readonly errors: readonly EndError[]
    /** Cursors that stand for "no next page", as text; absent: only null, false and empty text. */
    readonly cursors?: readonly string[]
  }
}
export interface EndError {
  readonly status: number
  /** The error counts only where this place of its JSON holds this value (any, where `equals` is absent). */
  readonly path: JsonPath | null
  readonly equals: Json | null
}

export interface AnswerShape {
  readonly format: 'json' | 'ndjson' | 'csv'
  /** Where the rows are; empty: the answer itself. */
  readonly rows: JsonPath
  /** An array in each row whose elements are the records; what is around it is `_parent` of each. Absent: the rows are the records. */
  readonly unfold?: JsonPath
  /** True: an answer without the list, or with null in its place, has no rows. Absent: it is an error. */
  readonly emptyWithoutRows?: true
  /** Errors of a walk's first request that mean "there is nothing"; absent: none. */
  readonly emptyOn?: readonly EndError[]
  /** Place of a text that holds JSON: what the other places lead through it to is looked for in there. Absent: none. */
  readonly parse?: JsonPath
  /**
   * `auto`: objects stay, arrays take their names from `header`, plain values become `{ value }`. `entries`: the rows are the values of an object, each with its
   * name as `_key`. `one`: there is one record, and no list.
   */
  readonly shape: 'auto' | 'objects' | 'arrays' | 'values' | 'entries' | 'one'
  /** Names for rows that are arrays. */
  readonly header: JsonPath | null
  /** Media types accepted, beside the format's own; empty: the format's own only. */
  readonly contentTypes: readonly string[]
  /** A non-null value here (or the value given) inside a 2xx means an error. */
  readonly errors: readonly AnswerError[]
  /** What a good answer says of itself, and must say truly: another one belongs to another partition, page or day. */
  readonly expect: readonly Expectation[]
  readonly csv: {
    readonly delimiter: string
    readonly header: boolean
    readonly columns: readonly string[]
    /** Lines behind the rows that are none, at `footer[0]` and so on as text; absent: none. */
    readonly footer?: number
    /** Values that stand for nothing; absent: none does, and an empty text stays one. */
    readonly nulls?: readonly string[]
  }
}
/** The value at this place of an answer is the template's. Left out where the walk's first request has no cursor that it could name. */
export interface Expectation {
  readonly from: Extract
  readonly is: Template
  /** Other values that say the same; absent: none. */
  readonly or?: readonly Template[]
  /** What another value means: the source answered for somebody else and may do better (absent), or it has nothing for this partition. */
  readonly otherwise?: 'empty'
}
export interface AnswerError {
  readonly path: JsonPath
  /** Error only where the value equals this; null: where it is present, not null, not false and not empty. */
  readonly equals: Json | null
  readonly message: JsonPath | null
  readonly fate: Fate
}
/** What becomes of a task whose request got this answer. */
export type Fate = 'retry' | 'dead' | 'budget'
/** The fate of a status, or rules of which the first that fits decides; where none does, the status has no fate of its own. */
export type StatusFate = StatusRule['fate'] | readonly StatusRule[]
/** Fits where all that it names is true of the answer. */
export interface StatusRule {
  /** Media type without parameters: `text/html`; `text/*`. */
  readonly contentType?: string
  /** True: the body is empty, or nothing but white space; false: it is not. */
  readonly isEmpty?: boolean
  /** A header that must be there, and hold this text (in whatever case) where one is given. */
  readonly header?: { readonly name: string; readonly contains: string | null }
  /** A place of its JSON that must be there, and be this value or hold this text (in whatever case) where one is given. */
  readonly body?: { readonly path: JsonPath; readonly equals: Json | null; readonly contains: string | null }
  /** `credentials`: the source refuses who asks, whatever the status. */
  readonly fate: Fate | 'credentials'
  /** How long the source is left alone where the answer says nothing of it, ms; only with the fate `budget`. */
  readonly waitMs?: number
}

export interface CountRule {
  /** null: taken from every page's own answer; else a request of its own. */
  readonly request: RequestShape | null
  readonly from: Extract
  /** Below this value the count is exact, from it on it only says "at least"; null: always exact. */
  readonly exactBelow: number | null
}

export interface Column {
  readonly name: string
  readonly type: ColumnType
  /** Exactly one of `path` and `dimension`; an empty path is the whole record. */
  readonly path: JsonPath | null
  readonly dimension: string | null
  readonly isRequired: boolean
  /** The value is a string that holds JSON (an `entities_json`): parsed before it is stored. */
  readonly parsesJson: boolean
  /** The value is Unix time, a number or its text; absent: it is a date and time as text. */
  readonly unixTime?: 'seconds' | 'milliseconds'
}
export type ColumnType =
  | 'text'
  | 'smallint'
  | 'integer'
  | 'bigint'
  | 'numeric'
  | 'real'
  | 'double precision'
  | 'boolean'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'uuid'
  | 'jsonb'

/** A foreign key of one column: `user_id: users.id`. */
export interface Reference {
  readonly column: string
  /** Stream of the same source, resolved to its table. */
  readonly table: TableName
  readonly targetColumn: string
  /** What becomes of a row whose parent is missing; absent: what the stream's settings say. */
  readonly missingParent?: MissingParent
}
/**
 * A row whose parent is missing: `wait` holds it until the parent is there, `reject` holds it for an operator, `refuse` promotes nothing of its flush, and the task
 * is tried again later.
 */
export type MissingParent = 'wait' | 'reject' | 'refuse'

/** Every number that backfill.yaml may set by source and by stream, resolved. */
export interface StreamSettings {
  /** Rows per request; null: the source's own. */
  readonly pageSize: number | null
  readonly claim: number
  /** Least time between the starts of two requests of this stream, ms, where it sets one of its own; absent: its source's budget says. */
  readonly delayMs?: number
  readonly timeoutMs: number
  /** Further tries inside one attempt, and the first wait before one (doubling). */
  readonly retries: number
  readonly retryDelayMs: number
  /** Attempts of a task before it is dead, and the first wait between two (doubling). */
  readonly attempts: number
  readonly backoffMs: number
  readonly flush: { readonly rows: number; readonly bytes: number; readonly ageMs: number }
  readonly checksForeignKeys: boolean
  /** For references that say nothing of their own, and for the database's own foreign keys. */
  readonly missingParent: MissingParent
  /** Pages in one walk before it is called endless. */
  readonly maxPages: number
  /** Bytes in one answer, after decompression, before it is refused. */
  readonly maxAnswerBytes: number
  /** Age at which an unfinished walk is started again. */
  readonly maxWalkAgeMs: number
  /** Part of the rows of the partition's last proven walk that a walk may lack and still be called proven, 0 to 1. */
  readonly maxShrink: number
  /** Fate of a status, beside the defaults: 5xx and 408 retry, 3xx and other 4xx dead, refusals budget. */
  readonly statuses: Readonly<Record<string, StatusFate>>
  /** What a request costs of each limit; absent: 1. */
  readonly weight?: number
  /** Priority of tasks that are not given one by hand; absent: 0. */
  readonly priority?: number
  /** When its tasks may be at work; absent: always. */
  readonly hours?: readonly HourRange[]
  /** Most that one run spends on the stream; absent: no such limit. */
  readonly maxRequestsPerRun?: number
  readonly maxTasksPerRun?: number
  /** Rows of another stream that one run asks about, where the stream fans out over them; absent: all. */
  readonly maxParentsPerRun?: number
}
