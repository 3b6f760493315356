// What an answer must say of itself, with a server on loopback: a header or a place of its JSON that names the partition, the day or the page it is for.
import { afterEach, describe, expect, it } from 'vitest'
import { SourceUnavailable } from '../../src/domain/errors.js'
import type { Extract } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, idsOf, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const partition = { day: '2024-03-09' }
const days = { kind: 'dates', from: '2024-01-01', to: 'today', step: 'day', exclude: [], aliases: {} } as const
const site: Extract = { path: ['about', 0, 'day'] }

/** Two pages of three rows whose second ends the walk; every answer says `told` of itself. */
async function walk(told: (page: number) => { day?: string; page?: string }, expects: Record<string, string>) {
  const server = await serve((_, response, at) => {
    const number = Number(at.searchParams.get('page'))
    const { day, page } = told(number)
    json(response, { rows: rows(number * 3, number === 1 ? 3 : 0), about: [{ day }] }, { 'x-page': page ?? '' })
  })
  const expectations = Object.entries(expects).map(([name, is]) => ({
    from: name === 'page' ? { header: 'x-page' } : site,
    is,
  }))
  const stream = streamOf({
    answer: { rows: ['rows'], expect: expectations },
    pagination: {
      kind: 'page',
      param: 'page',
      first: 1,
      sizeParam: null,
      total: null,
      pages: null,
      usedSize: null,
      end: { shortPage: false, errors: [] },
    },
  })
  const source = sourceOf(server.origin, { dimensions: { day: days } })
  return await pagesOf(bench().client, startOf(source, { ...stream, dimensions: ['day'] }, { partition }))
}

describe('an answer that must say what it is for', () => {
  it('is taken where it says so, in the words of the source', async () => {
    const pages = await walk((page) => ({ day: '3/9/2024', page: String(page) }), {
      day: '{day:M/D/YYYY}',
      page: '{cursor}',
    })
    expect(idsOf(pages)).toEqual([3, 4, 5])
  })

  it.each([
    ['another day', { day: '3/8/2024' }, '"3/8/2024" at about[0].day, expected "3/9/2024"'],
    ['nothing', {}, 'nothing at about[0].day, expected "3/9/2024"'],
  ])('is refused where it says %s, and may be right the next time', async (_, told, fact) => {
    const error = await errorOf(walk(() => told, { day: '{day:M/D/YYYY}' }))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error).toMatchObject({ code: 'other_answer' })
    expect(error.message).toContain(fact)
  })

  it('is refused where it is another page', async () => {
    const error = await errorOf(walk(() => ({ page: '1' }), { page: '{cursor}' }))
    expect(error.message).toContain('"1" at header x-page, expected "2"')
  })
})
