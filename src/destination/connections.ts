/**
 * Owns the connections to Postgres: how many, how long anything may be waited for, and what becomes of one that fell silent (it is destroyed: a backend in
 * `COPY FROM STDIN` ignores every server-side time-out, TRIED.md). Must not know any table. What survives a kill is what the server committed; an open
 * transaction is rolled back by the server.
 */

import PQueue from 'p-queue'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { DestinationUnavailable, InvariantError, StoppedError } from '../domain/errors.js'
import type { Log } from '../domain/ports.js'
import { isLost } from './classify.js'

/** How long a flush may wait, ms. The client's own deadline is later than the server's, so that the server's word usually comes first. */
export interface Deadlines {
  /** For any lock, `lock_timeout`. */
  readonly lockMs: number
  /** For one statement, `statement_timeout`. */
  readonly statementMs: number
  /** For any one answer, before the connection is destroyed. */
  readonly answerMs: number
  /** For a new connection. */
  readonly connectMs: number
}

/** Half a minute for a lock, two minutes for a statement, ten seconds more for the answer. */
export const defaultDeadlines: Deadlines = {
  lockMs: 30_000,
  statementMs: 120_000,
  answerMs: 130_000,
  connectMs: 15_000,
}

interface ConnectionsOptions {
  readonly config: pg.ClientConfig
  readonly max: number
  readonly deadlines: Deadlines
  readonly log: Log
  readonly signal: AbortSignal
}

/** A named statement is prepared once per connection. */
export interface Statement {
  readonly name?: string
  readonly text: string
}

/** A connection for the length of one piece of work. Every wait on it ends by its deadline or by the signal. */
export interface Connection {
  query<Row extends pg.QueryResultRow>(statement: Statement, values?: readonly unknown[]): Promise<Answer<Row>>
  /** Runs a script that contains one `copy … from stdin` and feeds it; statements before and after it share its round trip, their rows are dropped. */
  copy(script: string, buffers: readonly Buffer[]): Promise<void>
}
interface Answer<Row> {
  readonly rows: readonly Row[]
  readonly command: string
}

/** A bounded set of connections. Work beyond `max` waits in line, without a deadline of its own. */
export class Connections {
  readonly #pool: pg.Pool
  readonly #line: PQueue
  readonly #options: ConnectionsOptions
  #isNaming = true

  constructor(options: ConnectionsOptions) {
    this.#options = options
    this.#line = new PQueue({ concurrency: options.max })
    this.#pool = new pg.Pool({
      application_name: 'backfill',
      ...options.config,
      max: options.max,
      connectionTimeoutMillis: options.deadlines.connectMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      idleTimeoutMillis: 60_000,
    })
    // Both kinds of silence would otherwise end the process: an idle connection's failure and a checked-out one's.
    this.#pool.on('error', (error) => options.log('warn', 'database_connection_lost', { reason: error.message }))
    this.#pool.on('connect', (client) => client.on('error', () => undefined))
  }

  /** Runs work on a connection. Where it throws, an open transaction is rolled back, and a connection in an unknown state is destroyed. */
  async run<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    return await this.#line.add(() => this.#runNow(work))
  }

  /** From now on statements are parsed every time: something between us and Postgres does not keep prepared ones. */
  stopNaming(): void {
    this.#isNaming = false
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }

  async #runNow<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#options.signal.aborted) throw new StoppedError()
    const client = await this.#pool.connect()
    let isBroken = true
    try {
      const result = await work(this.#wrap(client))
      isBroken = false
      return result
    } catch (error) {
      isBroken = !(await this.#rollBack(client, error))
      throw error
    } finally {
      client.release(isBroken)
    }
  }

  /** False where the connection cannot be trusted any more. */
  async #rollBack(client: pg.PoolClient, error: unknown): Promise<boolean> {
    if (isLost(error) || error instanceof StoppedError) return false
    return await this.#wait(() => client.query('rollback')).then(
      () => true,
      () => false,
    )
  }

  #wrap(client: pg.PoolClient): Connection {
    return {
      query: async <Row extends pg.QueryResultRow>(statement: Statement, values?: readonly unknown[]) => {
        const text = statement.text
        const name = this.#isNaming ? statement.name : undefined
        const config = { text, ...(name === undefined ? {} : { name }), ...(values ? { values: [...values] } : {}) }
        return await this.#wait(() => client.query<Row>(config))
      },
      copy: async (script, buffers) => await this.#wait(() => copyBuffers(client, script, buffers)),
    }
  }

  /** One wait: ends by the answer, the deadline or the signal; in the last two cases the release destroys the socket (pg does while a query is active). */
  async #wait<T>(start: () => Promise<T>): Promise<T> {
    const { signal, deadlines } = this.#options
    if (signal.aborted) throw new StoppedError()
    return await new Promise<T>((resolve, reject) => {
      const give = (error: Error): void => {
        settle()
        reject(error)
      }
      const onAbort = (): void => give(new StoppedError())
      const timer = setTimeout(() => give(silent(deadlines.answerMs)), deadlines.answerMs)
      const settle = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      start().then(resolve, reject).finally(settle)
    })
  }
}

/** Ends a transaction that went well. @throws InvariantError where the server had already given it up. */
export async function commit(connection: Connection): Promise<void> {
  const answer = await connection.query({ text: 'commit' })
  // A commit of a failed transaction answers "ROLLBACK" and no error.
  if (answer.command !== 'COMMIT') throw new InvariantError('commit a transaction found it rolled back')
}

function silent(ms: number): DestinationUnavailable {
  return new DestinationUnavailable('database_silent', `wait for the database got no answer in ${ms / 1000} s`)
}

/** Rows are sent in pieces of at least this size: a piece costs two system calls and a turn of the event loop. */
const pieceBytes = 192 * 1024

/**
 * Feeds a COPY one piece at a time. pg-copy-streams forgets its connection at the server's error and would then trip over what is still queued, so nothing
 * is queued: the next piece is written when the one before has left.
 */
function copyBuffers(client: pg.PoolClient, script: string, buffers: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = copyFrom(script)
    // pg hands rows of the script's other statements to the stream, which knows only COPY.
    Object.assign(stream, { handleRowDescription: () => undefined, handleDataRow: () => undefined })
    let hasFailed = false
    let next = 0
    const takePiece = (): Buffer => {
      const first = next
      for (let bytes = 0; next < buffers.length && bytes < pieceBytes; next += 1) bytes += buffers[next]?.length ?? 0
      const [piece, ...more] = buffers.slice(first, next)
      return piece !== undefined && more.length === 0 ? piece : Buffer.concat(buffers.slice(first, next))
    }
    const feed = (): void => {
      if (hasFailed) return
      if (next === buffers.length) stream.end()
      else stream.write(takePiece(), feed)
    }
    stream.on('finish', resolve)
    stream.on('error', (error) => {
      hasFailed = true
      reject(error)
    })
    client.query(stream)
    feed()
  })
}
