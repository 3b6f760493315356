/**
 * The event log: JSON lines in `.backfill/log/YYYY-MM-DD.log`, mode 0600, one write per event so that several processes append to one file without mixing
 * lines. Owns file names, rotation and retention. Must not know what an event means. A kill loses nothing that was logged; a full disk loses events, never the run.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Log, LogLevel } from '../domain/ports.js'

export interface LogOptions {
  /** `<workspace>/.backfill/log`; made with mode 0700 at the first event. */
  readonly directory: string
  readonly level: LogLevel
  /** The day, `YYYY-MM-DD`, of an instant in the workspace's zone: a new day begins a new file. */
  readonly day: (at: number) => string
  readonly clock: Pick<Clock, 'now'>
  /** In every line: the command, the run. */
  readonly base: Readonly<Record<string, unknown>>
  /** Takes secrets out of a finished line. */
  readonly redact: (text: string) => string
  /** Days that a file is kept; 30 by default. */
  readonly keepDays?: number
  /** Size at which a day's file is continued in a further one, bytes; 64 MiB by default. */
  readonly maxBytes?: number
}
export interface EventLog {
  readonly log: Log
  readonly close: () => void
}

const rank: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const fileName = /^(\d{4}-\d{2}-\d{2})(?:\.\d+)?\.log$/
const dayMs = 86_400_000
const fullFile = 64 * 1024 * 1024

/** Opens lazily: a run without an event makes no file. Never throws: a log that cannot be written must not stop the work. */
export function openLog(options: LogOptions): EventLog {
  const state: { file: OpenFile | null } = { file: null }
  const log: Log = (level, event, fields = {}) => {
    if (rank[level] < rank[options.level]) return
    try {
      append(state, options, lineOf(level, event, fields))
    } catch {
      // A full disk or a lost permission: the queue and the ledger are the record, the log is comfort.
    }
  }
  return { log, close: () => closeFile(state) }

  function lineOf(level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): string {
    const time = new Date(options.clock.now()).toISOString()
    const text = JSON.stringify({ time, level, event, pid: process.pid, ...options.base, ...fields }, plainValue)
    return `${options.redact(text)}\n`
  }
}

interface OpenFile {
  readonly day: string
  readonly descriptor: number
  bytes: number
}

function append(state: { file: OpenFile | null }, options: LogOptions, line: string): void {
  const day = options.day(options.clock.now())
  if (state.file !== null && (state.file.day !== day || state.file.bytes > (options.maxBytes ?? fullFile))) {
    closeFile(state)
  }
  state.file ??= openFile(day, options)
  state.file.bytes += writeSync(state.file.descriptor, line)
}

function openFile(day: string, options: LogOptions): OpenFile {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  removeOld(day, options)
  const path = join(options.directory, `${day}.log`)
  const descriptor = openSync(path, 'a', 0o600)
  const bytes = fstatSync(descriptor).size
  if (bytes <= (options.maxBytes ?? fullFile)) return { day, descriptor, bytes }
  closeSync(descriptor)
  renameSync(path, join(options.directory, `${day}.${nextPart(day, options.directory)}.log`))
  return { day, descriptor: openSync(path, 'a', 0o600), bytes: 0 }
}

function nextPart(day: string, directory: string): number {
  const parts = readdirSync(directory).map((name) => new RegExp(`^${day}\\.(\\d+)\\.log$`).exec(name)?.[1])
  return Math.max(0, ...parts.map((part) => Number(part ?? 0))) + 1
}

function removeOld(today: string, options: LogOptions): void {
  const oldest = new Date(Date.parse(today) - (options.keepDays ?? 30) * dayMs).toISOString().slice(0, 10)
  for (const name of readdirSync(options.directory)) {
    const day = fileName.exec(name)?.[1]
    // `force`: another process may be removing it, too.
    if (day !== undefined && day < oldest) rmSync(join(options.directory, name), { force: true })
  }
}

function closeFile(state: { file: OpenFile | null }): void {
  if (state.file !== null) closeSync(state.file.descriptor)
  state.file = null
}

/** Errors lose everything in JSON.stringify, bigints throw. */
function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (!(value instanceof Error)) return value
  const { name, message, stack, cause } = value
  return {
    ...Object.fromEntries(Object.entries(value)),
    name,
    message,
    stack,
    ...(cause === undefined ? {} : { cause }),
  }
}
