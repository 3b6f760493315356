// The event log: one JSON line an event, private, rotated, without secrets.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type EventLog, type LogOptions, openLog } from '../../src/log/log.js'
import { redactor } from '../../src/log/redact.js'
import { temporaryFolder } from './run-command.js'

let folder = temporaryFolder()
let now = Date.UTC(2026, 2, 9, 23, 59)
beforeEach(() => {
  folder = temporaryFolder()
  now = Date.UTC(2026, 2, 9, 23, 59)
})
afterEach(() => folder.remove())

const directory = (): string => join(folder.path, 'log')
const open = (options: Partial<LogOptions> = {}): EventLog =>
  openLog({
    directory: directory(),
    level: 'info',
    day: (at) => new Date(at).toISOString().slice(0, 10),
    clock: { now: () => now },
    base: { command: 'worker' },
    redact: redactor({ ACME_TOKEN: 'tok-12345678' }),
    ...options,
  })
const lines = (name: string): unknown[] =>
  readFileSync(join(directory(), name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

describe('log', () => {
  test('makes no file before the first event, and then a private one', () => {
    const { log, close } = open()
    expect(existsSync(directory())).toBe(false)
    log('info', 'started', { tasks: 3, big: 10n })
    close()
    expect(lines('2026-03-09.log')).toEqual([
      {
        time: '2026-03-09T23:59:00.000Z',
        level: 'info',
        event: 'started',
        pid: process.pid,
        command: 'worker',
        tasks: 3,
        big: '10',
      },
    ])
    expect(statSync(join(directory(), '2026-03-09.log')).mode & 0o777).toBe(0o600)
    expect(statSync(directory()).mode & 0o777).toBe(0o700)
  })

  test('keeps to its level and writes no secret, also not inside an error', () => {
    const { log, close } = open()
    log('debug', 'noise')
    log('error', 'failed', { error: new Error('refused tok-12345678', { cause: new Error('inner') }) })
    close()
    expect(lines('2026-03-09.log')).toMatchObject([
      { event: 'failed', error: { message: 'refused ***', cause: { message: 'inner' } } },
    ])
    expect(readFileSync(join(directory(), '2026-03-09.log'), 'utf8')).not.toContain('tok-12345678')
  })

  test('begins a file a day, and removes those older than it keeps', () => {
    const { log, close } = open({ keepDays: 2 })
    log('info', 'a')
    for (const old of ['2026-03-06.log', '2026-03-07.1.log', '2026-03-08.log', 'postgres.log'])
      writeFileSync(join(directory(), old), '')
    now += 60_000
    log('info', 'b')
    close()
    expect(readdirSync(directory()).sort()).toEqual([
      '2026-03-08.log',
      '2026-03-09.log',
      '2026-03-10.log',
      'postgres.log',
    ])
  })

  test('continues a full day in a further file', () => {
    const { log, close } = open({ maxBytes: 150 })
    for (const event of ['a', 'b', 'c', 'd', 'e']) log('info', event)
    close()
    const names = readdirSync(directory()).sort()
    expect(names).toContain('2026-03-09.1.log')
    expect(names.flatMap(lines)).toHaveLength(5)
  })

  test('never throws where nothing can be written', () => {
    writeFileSync(directory(), 'a file in its place')
    const { log, close } = open()
    expect(() => {
      log('info', 'lost')
      close()
    }).not.toThrow()
  })
})
