/** How many values of one request are written: joined, each in a form of its own, or as a list in the body. */
import { afterEach, expect, it } from 'vitest'
import type { ManyValues } from '../../src/domain/walk-model.js'
import { bench, closeAll, json, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

async function ask(rules: Partial<ManyValues>, bodyParams: boolean, values: readonly string[] = ['1', '2', '3']) {
  const server = await serve((_, response) => json(response, []))
  const many: ManyValues = { param: 'ids', join: ',', max: 1000, shrinkOn: [], ...rules }
  const stream = streamOf({
    request: { bodyParams, method: bodyParams ? 'POST' : 'GET' },
    more: { dimensions: ['owner'], fanOut: { dimension: 'owner', many } },
  })
  const start = startOf(sourceOf(server.origin), stream, { partition: { owner: values.join(',') } })
  await pagesOf(bench().client, start)
  return server
}

it('writes each value in its form', async () => {
  const server = await ask({ form: 'ISBN:{value}' }, false)
  expect(server.seen.map((path) => new URL(path, 'http://h').searchParams.get('ids'))).toEqual(['ISBN:1,ISBN:2,ISBN:3'])
})

it('writes them as a list in the body, whose length no address bounds', async () => {
  const values = Array.from({ length: 1000 }, (_, index) => `978000000${index}`)
  const server = await ask({ isList: true, form: 'x{value}' }, true, values)
  expect(server.bodies.map((body) => JSON.parse(body) as unknown)).toEqual([
    { ids: values.map((value) => `x${value}`) },
  ])
})

it('asks again with fewer where a form makes the address too long', async () => {
  const server = await ask(
    { form: `${'y'.repeat(500)}{value}` },
    false,
    Array.from({ length: 20 }, (_, n) => `v${n}`),
  )
  expect(server.seen.length).toBeGreaterThan(1)
  expect(server.seen.every((path) => path.length < 8000)).toBe(true)
})
