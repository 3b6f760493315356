/**
 * The kill points of the reference drain, one after the other (`npm run test:soak`): every moment that differs, or with `FIRE_EVERY=1` every single message.
 * `FIRE_FROM` and `FIRE_TO` try those of a part of the messages.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Started, until } from '../support/cli-workspace.js'
import { measure, momentsIn, type Point, requestsIn, summary, tryPoint } from './kill-points.js'
import { type Reference, startReference } from './reference.js'
import { numberFrom } from './seeded.js'

let reference: Reference
beforeAll(async () => {
  reference = await startReference()
})
afterAll(async () => {
  await reference.close()
})

describe('a worker killed at every message', () => {
  it('loses nothing and doubles nothing', { timeout: 2 ** 31 - 1 }, async () => {
    const messages = await measure(reference)
    const all = process.env.FIRE_EVERY === '1' ? messages.map(({ number }) => number) : momentsIn(messages)
    const [from, to] = [numberFrom('FIRE_FROM', 1), numberFrom('FIRE_TO', messages.length)]
    const numbers = all.filter((number) => number >= from && number <= to)
    console.log(`${messages.length} messages; killing at ${numbers.length} of them, from ${from} to ${to}`)
    const points: Point[] = []
    for (const number of numbers) {
      points.push(await tryPoint(reference, number))
      if (points.length % 25 === 0) console.log(summary(points, messages))
    }
    console.log(summary(points, messages))
    // In flight, or waiting for their flush: the page that was asked for ahead, and the one before it.
    const needed = requestsIn(messages)
    expect(points.filter(({ requests }) => requests > needed + 2)).toEqual([])
  })
})

describe('a worker that dies behind a network that fell silent between merge and COMMIT', () => {
  it('keeps that task from the next run until the server gives it up, and nothing else', {
    timeout: 400_000,
  }, async () => {
    const { tap } = reference
    const messages = await measure(reference)
    const copied = messages.findIndex(({ label }) => label === 'CopyDone')
    const commit = messages.find(({ number, label }) => number > copied && label === 'Query commit')
    const run = await reference.open()
    try {
      const victim: { worker: Started | null } = { worker: null }
      tap.begin(({ number }) => {
        if (number !== commit?.number) return 'pass'
        victim.worker?.child.kill('SIGKILL')
        return 'freeze'
      })
      victim.worker = run.start('worker')
      expect(await victim.worker.ended).toMatchObject({ signal: 'SIGKILL' })
      tap.begin()
      const next = run.start('worker', '--until-empty')
      // Its neighbours are done while the server is still patient with the idle transaction: a little over two minutes.
      await until(async () => (await run.doneTasks()) === 2, 120_000)
      expect(await run.idleInTransaction()).toBe(1)
      const ended = await next.ended
      expect(ended.code, ended.stderr).toBe(0)
      await run.expectExact()
    } finally {
      tap.thaw()
      await run.close()
    }
  })
})
