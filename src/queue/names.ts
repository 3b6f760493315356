/**
 * Owns the small numbers that stand for streams, backfills and runs in the rows of tasks. They never change, so each connection asks for each once;
 * after a rollback it asks again, for a number may have been given up with it.
 */
import { InvariantError } from '../domain/errors.js'
import type { Store } from './store.js'

export interface StreamName {
  readonly source: string
  readonly stream: string
}

export interface Names {
  /** null where no task of the stream was ever made. */
  streamNumber(name: StreamName): number | null
  /** Makes the stream where it is new. Inside a write. */
  ensureStream(name: StreamName): number
  /** The numbers of those that exist. */
  streamNumbers(names: readonly StreamName[]): number[]
  streamName(number: number): StreamName
  backfillId(number: number): string
  /** null where no such run was begun. */
  runNumber(id: string): number | null
  /** Begins the run, without a name, where nobody did. Inside a write. */
  ensureRun(id: string, now: number): number
  /** null where the run was pruned. */
  runId(number: number): string | null
  /** To be called after a rollback. */
  forget(): void
}

const streamNumberGet = `select number from stream where source = ? and name = ?`
const streamInsert = `insert into stream (source, name) values (?, ?)`
const streamNameGet = `select source, name as stream from stream where number = ?`
const runNumberGet = `select number from run where id = ?`
const runIdGet = `select id from run where number = ?`
const runInsert = `insert into run (id, command, pid, started_at, touched_at) values (?, 'worker', 0, ?, ?)`
const backfillIdGet = `select id from backfill where number = ?`

export function createNames(store: Store): Names {
  const numbers = new Map<string, number>()
  const names = new Map<number, StreamName>()
  const backfills = new Map<number, string>()
  const runNumbers = new Map<string, number>()
  const runIds = new Map<number, string | null>()

  function streamNumber(name: StreamName): number | null {
    const text = `${name.source}\n${name.stream}`
    const known = numbers.get(text)
    if (known !== undefined) return known
    const row = store.sql(streamNumberGet).get(name.source, name.stream) as { number: number } | undefined
    if (row !== undefined) numbers.set(text, row.number)
    return row?.number ?? null
  }

  function runNumber(id: string): number | null {
    const number = runNumbers.get(id) ?? (store.sql(runNumberGet).pluck().get(id) as number | undefined)
    if (number !== undefined) runNumbers.set(id, number)
    return number ?? null
  }

  return {
    streamNumber,
    runNumber,
    ensureRun: (id, now) => runNumber(id) ?? Number(store.sql(runInsert).run(id, now, now).lastInsertRowid),
    runId: (number) => {
      const known = runIds.get(number)
      if (known !== undefined) return known
      const id = (store.sql(runIdGet).pluck().get(number) as string | undefined) ?? null
      runIds.set(number, id)
      return id
    },
    ensureStream: (name) =>
      streamNumber(name) ?? Number(store.sql(streamInsert).run(name.source, name.stream).lastInsertRowid),
    streamNumbers: (wanted) => wanted.map(streamNumber).filter((number) => number !== null),
    streamName: (number) => lookUp(names, number, () => store.sql(streamNameGet).get(number) as StreamName | undefined),
    backfillId: (number) =>
      lookUp(backfills, number, () => store.sql(backfillIdGet).pluck().get(number) as string | undefined),
    forget: () => {
      numbers.clear()
      names.clear()
      backfills.clear()
      runNumbers.clear()
      runIds.clear()
    },
  }
}

function lookUp<T>(known: Map<number, T>, number: number, ask: () => T | undefined): T {
  const value = known.get(number) ?? ask()
  if (value === undefined) throw new InvariantError(`read queue.db found number ${number}, which stands for nothing`)
  known.set(number, value)
  return value
}
