import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import Database from 'better-sqlite3'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock/system-clock.js'
import { isGone, ownIdentity } from '../../src/queue/process-identity.js'
import { describeBudget, hour, minute, requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, done, seed, userTasks } from './queue-conformance.js'

describeBudget('SQLite', () => {
  const temporary = openTemporaryQueue()
  const watcher = new Database(temporary.file, { readonly: true })
  return {
    budget: temporary.queue.budget,
    clock: temporary.clock,
    reopen: () => temporary.reopen().budget,
    // Changes with every commit of another connection.
    writes: () => watcher.pragma('data_version', { simple: true }) as number,
    remove: () => {
      watcher.close()
      temporary.remove()
    },
  }
})

describe('budget in the queue', () => {
  let temporary: TemporaryQueue
  let child: ChildProcess | undefined
  afterEach(() => {
    child?.kill('SIGKILL')
    temporary.remove()
  })

  test('keeps verify and seed to their share while a task is open', async () => {
    temporary = openTemporaryQueue()
    const { queue } = temporary
    const rules = rulesOf({ limits: [{ requests: 10, periodMs: minute }], verifyShare: 0.3 })
    const tryAs = (purpose: 'worker' | 'verify' | 'seed'): Promise<unknown> =>
      queue.budget.book(requestOf(rules, { purpose, deadlineAt: temporary.clock.now() }))
    await seed(queue, userTasks([1]))
    await tryAs('verify')
    await tryAs('seed')
    await tryAs('verify')
    await expect(tryAs('seed')).rejects.toMatchObject({ code: 'over_budget' })
    for (let index = 0; index < 6; index += 1) await tryAs('worker')
    const [lease] = await queue.settleAndClaim(claimOf(1))
    if (lease === undefined) throw new Error('one expected')
    await expect(tryAs('verify')).rejects.toMatchObject({ code: 'over_budget' })
    await queue.settleAndClaim(claimOf(0, { settle: [done(lease)] }))
    await tryAs('verify')
    await expect(tryAs('verify')).rejects.toMatchObject({ code: 'over_budget' })
  })

  test('ends what a killed process had under way when its death is found, and counts it from then on', async () => {
    temporary = openTemporaryQueue()
    const { file, clock, queue } = temporary
    const rules = rulesOf({ limits: [{ requests: 1, periodMs: minute }], concurrency: 1 })
    child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    if (child.stdout === null || child.pid === undefined) throw new Error('no child')
    await once(child.stdout, 'data')
    const identity = identityOf(child.pid)
    await queue.budget.book(requestOf(rules, { timeoutMs: 10 * hour }))
    const db = new Database(file)
    db.prepare('update budget_booking set process = ?').run(identity)
    db.close()

    const other = temporary.reopen().budget
    const opensAfter = async (): Promise<number> => {
      const failure = await other.book(requestOf(rules, { deadlineAt: clock.now() })).then(
        () => ({ opensAt: clock.now() }),
        (error: unknown) => error as { opensAt: number },
      )
      return failure.opensAt - clock.now()
    }
    await clock.advance(2 * hour)
    expect(await opensAfter()).toBe(minute + 1)
    await clock.advance(minute)
    expect(await opensAfter()).toBe(minute + 1)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await opensAfter()).toBe(minute + 1)
    await clock.advance(minute)
    expect(await opensAfter()).toBe(1)
  })

  test('knows itself for alive, a stranger container for alive, and a reused pid for gone', () => {
    temporary = openTemporaryQueue()
    const [space = '', pid = '', started = ''] = ownIdentity().split(' ')
    expect(isGone(ownIdentity())).toBe(false)
    expect(isGone(['pid:[1]', '999999999', '1'].join(' '))).toBe(false)
    expect(isGone([space, '999999999', '1'].join(' '))).toBe(true)
    if (started !== '') expect(isGone([space, pid, String(Number(started) - 1)].join(' '))).toBe(true)
  })

  test('runs on the real clock', async () => {
    temporary = openTemporaryQueue()
    const { budget } = temporary.reopen({ clock: systemClock })
    const rules = rulesOf({ key: 'real', limits: [{ requests: 5, periodMs: 200 }] })
    const begin = performance.now()
    for (let index = 0; index < 11; index += 1) {
      const booking = await budget.book(requestOf(rules))
      await budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null })
    }
    const tookMs = performance.now() - begin
    expect(tookMs).toBeGreaterThanOrEqual(400)
    expect(tookMs).toBeLessThan(3_000)
  })
})

function identityOf(pid: number): string {
  const [space = ''] = ownIdentity().split(' ')
  return [space, pid, ''].join(' ')
}
