/** A file of budgets that several workspaces name: made, refused, read, and held by real processes side by side, one of which is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock/system-clock.js'
import type { Limit } from '../../src/domain/source-model.js'
import { hour, requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'

const ok = { isRefusal: false, retryAfterMs: null }
const limits: Limit[] = [{ requests: 2, periodMs: hour }]

let one: TemporaryQueue
let other: TemporaryQueue
let file: string
const children: ChildProcess[] = []
beforeEach(() => {
  one = openTemporaryQueue()
  other = openTemporaryQueue(one.clock)
  file = join(one.folder, 'shared.db')
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  other.remove()
  one.remove()
})
const rulesIn = (path: string) => rulesOf({ limits, file: path })
const bookIn = (temporary: TemporaryQueue, path = file) =>
  temporary.queue.budget.book(requestOf(rulesIn(path), { deadlineAt: temporary.clock.now() }))

describe('a budget file', () => {
  test('is made for its owner alone, holds for all that name it, and leaves queue.db alone', async () => {
    expect((await one.queue.budget.state(rulesIn(file))).windows).toMatchObject([{ used: 0 }])
    await one.queue.budget.answered(await bookIn(one), rulesIn(file), ok)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await other.queue.budget.answered(await bookIn(other), rulesIn(file), ok)
    await expect(bookIn(one)).rejects.toMatchObject({ code: 'over_budget' })
    expect((await other.queue.budget.state(rulesIn(file))).windows).toMatchObject([{ used: 2, left: 0 }])
    expect((await one.queue.budget.state(rulesOf({ limits }))).windows).toMatchObject([{ used: 0, left: 2 }])
    expect(one.queue.budget.sent).toBe(1)
  })

  test('tells every workspace of a refusal and since when it lasts', async () => {
    const rules = rulesIn(file)
    await one.queue.budget.answered(await bookIn(one), rules, { isRefusal: true, retryAfterMs: 60_000 })
    expect(await other.queue.budget.state(rules)).toMatchObject({ closedUntil: one.clock.now() + 60_000 })
    expect(await other.queue.budget.refusedSince(rules)).toBe(one.clock.now())
    expect(await one.queue.budget.refusedSince(rulesOf({ limits }))).toBeNull()
  })

  test('is not made by a reader, and read by one where it is there', async () => {
    const reader = one.reopen({ mode: 'read' })
    expect(await reader.budget.state(rulesIn(file))).toMatchObject({ windows: [{ used: 0, left: 2 }], waiting: 0 })
    expect(existsSync(file)).toBe(false)
    await bookIn(other)
    expect(await reader.budget.state(rulesIn(file))).toMatchObject({ windows: [{ used: 1, left: 1 }] })
  })

  test('that cannot be one is refused with what to do', async () => {
    const foreign = join(one.folder, 'foreign.db')
    const db = new Database(foreign)
    db.exec('create table theirs (a)')
    db.close()
    await expect(bookIn(one, foreign)).rejects.toMatchObject({ code: 'budget_file_foreign' })
    await expect(bookIn(one, one.file)).rejects.toMatchObject({ code: 'budget_file_foreign' })
    mkdirSync(join(one.folder, 'folder'))
    await expect(bookIn(one, join(one.folder, 'folder'))).rejects.toMatchObject({ code: 'budget_file_unusable' })
    await expect(bookIn(one, join(one.folder, 'nowhere', 'budget.db'))).rejects.toMatchObject({
      code: 'budget_file_unwritable',
    })
    const text = join(one.folder, 'text.db')
    writeFileSync(text, 'this is a text and no database, however long it may be '.repeat(100))
    await expect(bookIn(one, text)).rejects.toMatchObject({ code: 'budget_file_corrupt' })
    await bookIn(one)
    const newer = new Database(file)
    newer.pragma('user_version = 99')
    newer.close()
    await expect(bookIn(other)).rejects.toMatchObject({ code: 'budget_file_newer' })
  })

  test('of another user is refused', async (context) => {
    if (process.getuid?.() !== 0) return context.skip()
    const { chownSync } = await import('node:fs')
    await bookIn(one)
    chownSync(file, 65_534, 65_534)
    await expect(bookIn(other)).rejects.toMatchObject({ code: 'budget_file_owner' })
    const reader = other.reopen({ mode: 'read' })
    expect(await reader.budget.state(rulesIn(file))).toMatchObject({ windows: [{ used: 1 }] })
  })
})

interface Sent {
  readonly name: string
  readonly from: number
  readonly to: number
}

describe('processes side by side', { timeout: 60_000 }, () => {
  const windows: Limit[] = [
    { requests: 4, periodMs: 200 },
    { requests: 10, periodMs: 1_000 },
  ]

  /** Answers once it has opened its queue; what it writes goes on into `sent`. */
  async function start(name: string, count: number, sent: Sent[]) {
    const script = join(import.meta.dirname, 'budget-caller.ts')
    const args = [join(one.folder, `${name}.db`), file, String(count), JSON.stringify(windows)]
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const reader = createInterface({ input: child.stdout })
    reader.on('line', (line) => {
      const [word, from, to] = line.split(' ')
      if (word === 'sent') sent.push({ name, from: Number(from), to: Number(to) })
    })
    const ended = Promise.all([once(child, 'exit'), once(reader, 'close')])
    await once(reader, 'line')
    return { child, ended }
  }

  test('exceed no window, one after another in the order they came, and outlive one that is killed in line', async () => {
    const sent: Sent[] = []
    const all = await Promise.all(['a', 'b', 'c'].map((name) => start(name, 25, sent)))
    while (sent.length < 20) await systemClock.sleep(20)
    // It waits in line, or is about to.
    all[2]?.child.kill('SIGKILL')
    await Promise.all(all.map(({ ended }) => ended))
    for (const name of ['a', 'b']) expect(sent.filter((one) => one.name === name)).toHaveLength(25)

    for (const { requests, periodMs } of windows) {
      for (const { to } of sent) {
        // Judged at the latest possible moment of the one, and the earliest of those after it.
        const counted = sent.filter((one) => one.to >= to && one.from < to + periodMs)
        expect(counted.length).toBeLessThanOrEqual(requests)
      }
    }
    // Fair: while three waited nobody went twice before each other had gone once or twice.
    const order = [...sent].sort((x, y) => x.from - y.from).slice(10, 18)
    for (const name of ['a', 'b', 'c'])
      expect(order.filter((one) => one.name === name).length).toBeGreaterThanOrEqual(2)
    const db = new Database(file, { readonly: true })
    expect(db.prepare('select count(*) from budget_place').pluck().get()).toBeLessThanOrEqual(1)
    db.close()
  })
})
