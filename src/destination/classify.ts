/**
 * Owns the one place where a failure of Postgres becomes an error of ours, by SQLSTATE and never by message text (DESIGN.md §6). Must not know what was
 * attempted beyond a phrase for the sentence. No connection string and no password enters a message.
 */
import pg from 'pg'
import {
  BackfillError,
  ConfigError,
  DestinationUnavailable,
  InvariantError,
  PromotionConflict,
} from '../domain/errors.js'

/** What was being done, as the message's beginning (`promote "users"`), and whether nothing had been promised yet. */
export interface Attempt {
  readonly doing: string
  /** `setup`: connecting, migrating, opening a table, where what cannot heal is a matter of configuration. */
  readonly phase: 'setup' | 'work'
}

/** The SQLSTATE of a failure that the server reported; null where the connection itself failed. */
export function sqlstate(error: unknown): string | null {
  return error instanceof pg.DatabaseError ? (error.code ?? null) : null
}

/** True where the connection failed rather than a statement: nobody knows what the server did last. */
export function isLost(error: unknown): boolean {
  if (error instanceof BackfillError) return error.code === 'database_silent' || error.code === 'commit_in_doubt'
  const state = sqlstate(error)
  if (state === null) return !(error instanceof TypeError || error instanceof RangeError)
  return state.startsWith('08') || state.startsWith('57P')
}

/** Serialisation failure, deadlock, lock not available: the same flush may pass at once. */
export function isContention(error: unknown): boolean {
  return ['40001', '40P01', '55P03'].includes(sqlstate(error) ?? '')
}

/** A pooler in front of Postgres lost or kept our prepared statements. */
export function isPreparedLost(error: unknown): boolean {
  return ['26000', '42P05'].includes(sqlstate(error) ?? '')
}

/**
 * True where a single row may be at fault: classes 22 and 23, P0001 (a trigger's own refusal), 54000 and 54001 (a value too large for an index or nested too
 * deeply), 21000 (two rows that become one key only in Postgres, by a trigger). Everything else is the whole flush's.
 */
export function isRowFault(error: unknown): boolean {
  const state = sqlstate(error) ?? ''
  return state.startsWith('22') || state.startsWith('23') || ['P0001', '21000', '54000', '54001'].includes(state)
}

/** The server's own words on a row, in one line. */
export function rowReason(error: unknown): string {
  if (!(error instanceof pg.DatabaseError)) return String(error)
  const detail = error.detail === undefined ? '' : ` (${error.detail})`
  return `${error.message}${detail}`.replaceAll(/\s+/g, ' ').slice(0, 1000)
}

/** Why the server refused a row, as a held row keeps it: its SQLSTATE and its words. */
export function rejectionOf(error: unknown): string {
  return `${sqlstate(error) ?? ''} ${rowReason(error)}`.trim()
}

/** The error of ours that a failure is. What is one already passes through. */
export function classify(error: unknown, attempt: Attempt): BackfillError {
  if (error instanceof BackfillError) return error
  const state = sqlstate(error)
  if (state !== null) return classifyState(state, error as pg.DatabaseError, attempt)
  if (error instanceof TypeError || error instanceof RangeError) {
    return new InvariantError(`${attempt.doing} failed: ${error.message}`, { cause: error })
  }
  return classifyConnection(error, attempt)
}

function classifyState(state: string, error: pg.DatabaseError, attempt: Attempt): BackfillError {
  const message = `${attempt.doing} failed: ${error.message} (SQLSTATE ${state})`
  const details = { cause: error, context: { sqlstate: state } }
  if (isTemporary(state)) {
    return new DestinationUnavailable(temporaryCode(state), message, { ...details, hint: temporaryHint(state) })
  }
  if (state.startsWith('28') || state === '3D000' || state === '3F000') {
    return new ConfigError('database_refused', message, { ...details, hint: 'check "database" in backfill.yaml' })
  }
  if (state === '42501') {
    const hint = 'grant the privilege to the user that "database" in backfill.yaml names'
    return attempt.phase === 'setup'
      ? new ConfigError('database_privilege', message, { ...details, hint })
      : new PromotionConflict('database_privilege', message, { ...details, hint })
  }
  if (attempt.phase === 'setup') return new ConfigError('database_statement', message, details)
  return new PromotionConflict('promotion_conflict', message, { ...details, hint: conflictHint })
}

const conflictHint =
  'the table changed while the worker ran: mend it, then run "backfill retry --code promotion_conflict"; where rows went with it, "backfill seed --force"'

/** What an operator can do about it. The next run tries again in any case. */
function temporaryHint(state: string): string {
  if (state === '53100') return "make room on the database's disk"
  if (state === '53300') return 'end other clients, or raise max_connections or the connection limit of the user'
  if (state.startsWith('53')) return 'the database is short of memory or of another resource of its own'
  if (state === '25006') return 'let the database be written to again, or name the one that is in backfill.yaml'
  if (state.startsWith('40') || state === '55P03') return 'look in pg_stat_activity who holds locks on the table'
  if (state === '57014') return 'look in pg_stat_activity what the table waits for; a statement may take two minutes'
  return 'see that the database runs; the next run goes on'
}

/** Lost or refused connection, no room, contention, time-outs, read-only after a fail-over, failures of the server itself. */
function isTemporary(state: string): boolean {
  const exact = ['40001', '40P01', '55P03', '57014', '25006', '25P03', '25P04', '55006', '26000', '42P05']
  return exact.includes(state) || ['08', '53', '57P', '58', 'XX'].some((start) => state.startsWith(start))
}

function temporaryCode(state: string): string {
  if (state.startsWith('53')) return 'database_full'
  if (state === '25006') return 'database_read_only'
  if (state.startsWith('40') || state === '55P03') return 'database_contention'
  return 'database_unavailable'
}

function classifyConnection(error: unknown, attempt: Attempt): BackfillError {
  const code = connectionCode(error)
  const isRefused = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'ENOENT'
  const where = isRefused ? placeOf(error) : ''
  const fact = isRefused ? `found no server${where}` : 'lost the database'
  const message = `${attempt.doing} ${fact}: ${code ?? reasonOf(error)}`
  const hint = 'see that it runs, and that "database" in backfill.yaml names it'
  const details = { cause: error, context: code === null ? {} : { errno: code }, ...(isRefused ? { hint } : {}) }
  if (isHandshakeRefusal(error, code)) {
    return new ConfigError('database_refused', message, { ...details, hint: 'check "database" in backfill.yaml' })
  }
  return new DestinationUnavailable('database_unavailable', message, details)
}

/** ` at 127.0.0.1:5432`, as the socket says it: never the connection string, which may hold a password. */
function placeOf(error: unknown): string {
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [error]
  if (!(first instanceof Error)) return ''
  if ('address' in first && typeof first.address === 'string') {
    const port = 'port' in first && typeof first.port === 'number' ? `:${first.port}` : ''
    return ` at ${first.address}${port}`
  }
  return 'hostname' in first && typeof first.hostname === 'string' ? ` at ${first.hostname}` : ''
}

/** TLS and authentication failures of the client's side, which waiting does not heal. */
function isHandshakeRefusal(error: unknown, code: string | null): boolean {
  if (code !== null && /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS)/.test(code)) return true
  return error instanceof Error && /^(SASL|The server does not support SSL)/.test(error.message)
}

function connectionCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
