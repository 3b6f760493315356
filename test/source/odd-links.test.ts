/** `Link` headers as servers really write them: each leads to the next page, or is an error; none that names a next page passes for an end. */
import { afterEach, describe, expect, it } from 'vitest'
import { AnswerInvalid } from '../../src/domain/errors.js'
import { linkByRelation } from '../../src/source/link-header.js'
import { bench, closeAll, errorOf, idsOf, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const byLink = streamOf({ pagination: { kind: 'link', rel: 'next', sizeParam: null } })

/** Two pages; the first one's header is what the test says of the address of the second. */
async function walk(header: (next: string) => string | string[]) {
  const server = await serve((_, response, at) => {
    const isFirst = !at.searchParams.has('p')
    if (isFirst) response.setHeader('link', header('/things?p=2'))
    json(response, rows(isFirst ? 0 : 1, 1))
  })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), byLink))
  return { ids: idsOf(pages), seen: server.seen }
}

describe('a Link header', () => {
  it.each<[string, (next: string) => string | string[]]>([
    ['of several links in one', (next) => `</x>; rel="prev", <${next}>; rel="next", </y>; rel="last"`],
    ['in several headers', (next) => ['</x>; rel="last"', `<${next}>; rel="next"`]],
    ['in single quotes', (next) => `<${next}>; rel='next'`],
    ['in single quotes with several relations', (next) => `</x>; rel='prev'; title='a', <${next}>; rel='next last'`],
    ['with a value that needed quotes before it', (next) => `</x>; rel=prev last, <${next}>; rel="next"`],
    ['with words between two links', (next) => `</x>; rel="last" and more, <${next}>; rel="next"`],
    ['with an extended parameter', (next) => `<${next}>; rel=next; title*=UTF-8'de'n%c3%a4chstes`],
    ['with empty elements and loose ends', (next) => `,, </x>; rel="last";, ,<${next}>; rel="next";`],
    ['that says more of each link', (next) => `<${next}>; rel="next"; results="true"; cursor="0:100:0"`],
  ])('%s is followed', async (_, header) => {
    expect(await walk(header)).toEqual({ ids: [0, 1], seen: ['/things', '/things?p=2'] })
  })

  it.each([
    ['an address without its brackets', '/things?p=2; rel="next"'],
    ['a quote that does not end', '</x>; rel="last, </things?p=2>; rel="next"'],
    ['an address that does not end', '</things?p=2; rel="next"'],
  ])('that cannot be read is an error, not an end: %s', async (_, header) => {
    const error = await errorOf(walk(() => header))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe('bad_cursor')
    expect(error.message).toContain('Link header')
  })

  it('that has no such relation, or is empty, is the end', async () => {
    for (const header of ['', ' , ', '</x>; rel="prev"', "</x>; rel='first'"]) {
      expect((await walk(() => header)).ids, header).toEqual([0])
    }
  })

  it('damaged behind what is asked for does no harm', () => {
    expect(linkByRelation('<a>; rel=next, b; rel=last', 'next')).toEqual({ address: 'a' })
    expect(linkByRelation('<a>; rel=next, b; rel=last', 'last')).toBe('unreadable')
  })

  it('in UTF-8 keeps its letters', async () => {
    const seen = (await walk((next) => Buffer.from(`<${next}&q=größe>; rel="next"`).toString('latin1'))).seen
    expect(seen[1]).toBe('/things?p=2&q=gr%C3%B6%C3%9Fe')
    const latin = (await walk((next) => `<${next}&q=\u00e9>; rel="next"`)).seen
    expect(latin[1]).toBe('/things?p=2&q=%C3%A9')
  })
})
