/**
 * Owns `backfill sql`: runs what a person typed, as one simple query, and hands rows over as they come, as slowly as they are taken. Must not know tables or
 * promises; it has its own connection, so that nothing of it reaches a worker's.
 */
import pg from 'pg'
import type { BackfillError } from '../domain/errors.js'
import { ConfigError } from '../domain/errors.js'
import { classify } from './classify.js'

/** What a statement says, in order. Values are Postgres' own text, null is NULL. */
export type StatementEvent =
  | { readonly kind: 'columns'; readonly names: readonly string[] }
  | { readonly kind: 'row'; readonly values: readonly (string | null)[] }
  /** End of one statement; `rowCount` null where its tag counts none. */
  | { readonly kind: 'done'; readonly command: string; readonly rowCount: number | null }
  | { readonly kind: 'notice'; readonly severity: string; readonly message: string }
  /** Bytes of `copy … to stdout`. */
  | { readonly kind: 'copied'; readonly data: Buffer }

interface StatementOptions {
  readonly config: pg.ClientConfig
  /** One or more statements; several are one transaction, as the server has it. */
  readonly sql: string
  /** Aborting it ends the connection, and with it the statement. */
  readonly signal: AbortSignal
}

/**
 * Runs the text and yields what the server answers, without holding a result in memory.
 * @throws ConfigError `statement_failed` with line and column where the statement is at fault; DestinationUnavailable where the server is.
 */
export async function* runStatement(options: StatementOptions): AsyncGenerator<StatementEvent, void> {
  const client = new pg.Client({ application_name: 'backfill sql', connectionTimeoutMillis: 15_000, ...options.config })
  client.on('error', () => undefined)
  const onAbort = (): void => streamOf(client).destroy()
  try {
    await client.connect()
    options.signal.addEventListener('abort', onAbort, { once: true })
    const reader = new StatementReader(options.sql)
    client.on('notice', (notice) =>
      reader.push({ kind: 'notice', severity: notice.severity ?? 'NOTICE', message: notice.message ?? '' }),
    )
    client.query(reader)
    yield* reader.events()
  } catch (error) {
    throw translate(error, options.sql)
  } finally {
    options.signal.removeEventListener('abort', onAbort)
    // A statement that is still running is cut off, not waited for.
    streamOf(client).destroy()
  }
}

interface Socket {
  pause(): void
  resume(): void
  destroy(): void
}
/** The part of pg's connection that a query of its own kind uses. */
interface WireConnection {
  readonly stream: Socket
  query(text: string): void
  sendCopyFail(reason: string): void
}

function streamOf(client: pg.Client): Socket {
  return (client as unknown as { connection: WireConnection }).connection.stream
}

/** Events in memory before the socket is paused. */
const readAhead = 1000

/** A query that pg feeds with the server's messages; pg's own would gather all rows. */
class StatementReader {
  readonly #text: string
  readonly #events: StatementEvent[] = []
  #connection: WireConnection | null = null
  #wake: (() => void) | null = null
  #isOver = false
  #error: Error | null = null

  constructor(text: string) {
    this.#text = text
  }

  async *events(): AsyncGenerator<StatementEvent, void> {
    for (;;) {
      // In bites: what arrives while the consumer works is taken in the next round.
      for (const event of this.#events.splice(0)) yield event
      if (this.#events.length > 0) continue
      if (this.#error !== null) throw this.#error
      if (this.#isOver) return
      this.#connection?.stream.resume()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  push(event: StatementEvent): void {
    this.#events.push(event)
    if (this.#events.length >= readAhead) this.#connection?.stream.pause()
    this.#wake?.()
  }

  submit(connection: unknown): void {
    this.#connection = connection as WireConnection
    this.#connection.query(this.#text)
  }
  handleRowDescription(message: { readonly fields: readonly { readonly name: string }[] }): void {
    this.push({ kind: 'columns', names: message.fields.map(({ name }) => name) })
  }
  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    this.push({ kind: 'row', values: message.fields })
  }
  handleCommandComplete(message: { readonly text: string }): void {
    const match = /^(.*?)(?: (\d+))?$/.exec(message.text)
    const count = match?.[2]
    // The tag of an INSERT has a second number between, always 0 today.
    const command = (match?.[1] ?? message.text).replace(/^INSERT 0$/, 'INSERT')
    this.push({ kind: 'done', command, rowCount: count === undefined ? null : Number(count) })
  }
  handleCopyInResponse(connection: WireConnection): void {
    connection.sendCopyFail('"backfill sql" has no input to copy from')
  }
  handleCopyData(message: { readonly chunk: Buffer }): void {
    this.push({ kind: 'copied', data: message.chunk })
  }
  handleEmptyQuery(): void {
    this.push({ kind: 'done', command: '', rowCount: null })
  }
  handlePortalSuspended(): void {
    // Only the extended protocol suspends; nothing to do.
  }
  handleReadyForQuery(): void {
    this.#isOver = true
    this.#wake?.()
  }
  handleError(error: Error): void {
    this.#error = error
    this.#wake?.()
  }
}

function translate(error: unknown, sql: string): BackfillError {
  const doing = 'run the statement'
  if (!(error instanceof pg.DatabaseError)) return classify(error, { doing, phase: 'setup' })
  const code = error.code ?? ''
  const isOurs = ['08', '28', '53', '57P', '58', '3D'].some((start) => code.startsWith(start))
  if (isOurs) return classify(error, { doing, phase: 'setup' })
  const place = placeOf(sql, error.position)
  const at = place === null ? '' : ` at line ${place.line}, column ${place.column}`
  return new ConfigError('statement_failed', `${doing} failed${at}: ${error.message} (SQLSTATE ${code})`, {
    cause: error,
    context: { sqlstate: code, ...(place ?? {}) },
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  })
}

/** Postgres counts characters from 1, over all lines; a pair of surrogates is one. */
function placeOf(sql: string, position: string | undefined): { readonly line: number; readonly column: number } | null {
  if (position === undefined) return null
  const before = Array.from(sql).slice(0, Number(position) - 1)
  const lastBreak = before.lastIndexOf('\n')
  const line = before.filter((character) => character === '\n').length + 1
  return { line, column: before.length - lastBreak }
}
