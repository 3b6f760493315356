/**
 * A sample of the kill points of the reference drain, drawn anew each time; `FIRE_SEED` draws the same again. All of them: `npm run test:soak`. With it, the
 * other deeds: a connection cut in the middle of a message, one that falls silent, one that is late.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Deed, measure, type Point, requestsIn, summary, tryPoint } from './kill-points.js'
import { type Reference, startReference } from './reference.js'
import { numberFrom, seededBy } from './seeded.js'
import type { WireMessage } from './wire-tap.js'

const sampleSeconds = 25

let reference: Reference
let messages: readonly WireMessage[]
beforeAll(async () => {
  reference = await startReference()
  messages = await measure(reference)
})
afterAll(async () => {
  await reference.close()
})

/** Messages of flushes of the child stream: after the first COPY of all. */
function firstAfterCopy(isIt: (message: WireMessage) => boolean): number {
  const copied = messages.findIndex(({ label }) => label === 'CopyDone')
  const found = messages.find((message) => message.number > copied && isIt(message))
  if (found === undefined) throw new Error('the reference drain has no such message')
  return found.number
}

describe('a worker killed at a message', { timeout: 120_000 }, () => {
  it('after COMMIT was sent and before its answer came', async () => {
    const number = firstAfterCopy(({ to, label }) => to === 'client' && label === 'CommandComplete COMMIT')
    const { met, asked } = await tryPoint(reference, number)
    expect(met?.label).toBe('CommandComplete COMMIT')
    // The first page is promoted, though nobody was told: the next one is asked for.
    expect(asked[0]).toBe('GET /parents?size=4&page=2')
  })

  it('before COMMIT was sent', async () => {
    const number = firstAfterCopy(({ label }) => label === 'Query commit')
    const { met, asked } = await tryPoint(reference, number)
    expect(met?.label).toBe('Query commit')
    expect(asked[0]).toBe('GET /parents?size=4&page=1')
  })

  it('loses nothing and doubles nothing, wherever it was', async () => {
    const chance = seededBy('FIRE_SEED', 'kill points')
    const until = performance.now() + numberFrom('FIRE_SECONDS', sampleSeconds) * 1000
    const points: Point[] = []
    while (performance.now() < until) points.push(await tryPoint(reference, 1 + chance.below(messages.length)))
    console.log(summary(points, messages))
    // In flight, or waiting for their flush: the page that was asked for ahead, and the one before it.
    expect(points.filter(({ requests }) => requests > requestsIn(messages) + 2)).toEqual([])
  })
})

describe('a message', { timeout: 120_000 }, () => {
  const ofDatabase = ({ channel }: WireMessage) => channel === 'database'
  it.each<[Deed, string, (message: WireMessage) => boolean]>([
    ['cut', 'of a COPY, half of it', ({ label }) => label === 'CopyData'],
    ['cut', 'that is the answer to COMMIT', ({ label }) => label === 'CommandComplete COMMIT'],
    ['cut', 'that is an answer of the API', ({ label }) => label.startsWith('HTTP/1.1 200')],
    ['freeze', 'inside COPY', ({ label }) => label === 'CopyDone'],
    ['delay', 'of the database', ofDatabase],
    ['delay', 'of the API', ({ channel }) => channel === 'api'],
  ])('%s %s', async (deed, _, isIt) => {
    const { met } = await tryPoint(reference, firstAfterCopy(isIt), deed)
    expect(met).not.toBeNull()
  })
})
