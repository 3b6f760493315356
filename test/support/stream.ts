import type { Source, Stream, StreamSettings } from '../../src/domain/source-model.js'

/** Settings as a source without limits gets them by default, with a quick backoff. */
export const settings: StreamSettings = {
  pageSize: 100,
  claim: 10,
  timeoutMs: 5_000,
  retries: 0,
  retryDelayMs: 10,
  attempts: 3,
  backoffMs: 5_000,
  flush: { rows: 10_000, bytes: 8 * 1024 * 1024, ageMs: 1_000 },
  checksForeignKeys: true,
  missingParent: 'wait',
  maxPages: 1_000,
  maxAnswerBytes: 64 * 1024 * 1024,
  maxWalkAgeMs: 86_400_000,
  maxShrink: 0.5,
  statuses: {},
}

/** A stream `test.thing` in canonical form: page numbers from 1, key `id`, one dimension `site`; `overrides` replace whole fields. */
export function makeStream(overrides: Partial<Stream> = {}): Stream {
  return {
    source: 'test',
    name: 'thing',
    dimensions: ['site'],
    table: { schema: 'public', name: 'thing' },
    request: { method: 'GET', path: '/{site}/things', query: {}, headers: {}, body: null, bodyParams: false },
    answer: {
      format: 'json',
      rows: [],
      shape: 'auto',
      header: null,
      contentTypes: [],
      expect: [],
      errors: [],
      csv: { delimiter: ',', header: true, columns: [] },
    },
    pagination: {
      kind: 'page',
      param: 'page',
      first: 1,
      sizeParam: 'size',
      total: null,
      pages: null,
      usedSize: null,
      end: { shortPage: false, errors: [] },
    },
    ...{ fanOut: null, incremental: null, windows: null, match: {} },
    count: [],
    columns: [
      { name: 'id', type: 'bigint', path: ['id'], dimension: null, isRequired: true, parsesJson: false },
      { name: 'site', type: 'text', path: null, dimension: 'site', isRequired: true, parsesJson: false },
      { name: 'name', type: 'text', path: ['name'], dimension: null, isRequired: false, parsesJson: false },
    ],
    key: ['id'],
    version: null,
    references: [],
    disposition: 'merge',
    prune: { confirm: 'again', most: { share: 0.05 }, cascades: false },
    extrasColumn: null,
    unstorableText: 'hold',
    everyMs: null,
    settings,
    requestHash: 'hash-1',
    ...overrides,
  }
}

/** The source `test` around streams, without limits, at `baseUrl`. */
export function makeSource(streams: readonly Stream[], overrides: Partial<Source> = {}): Source {
  return {
    name: 'test',
    baseUrl: 'http://127.0.0.1:1',
    headers: {},
    budget: { limits: [], reserve: 0, key: 'test', refusals: [429], delayMs: 0, concurrency: 2, verifyShare: 0.5 },
    park: { after: 5, firstMs: 300_000, longestMs: 3_600_000, refusedMs: 21_600_000 },
    dimensions: { site: { kind: 'list', values: ['a', 'b'], fromConfig: null, exclude: [], aliases: { first: 'a' } } },
    streams: Object.fromEntries(streams.map((stream) => [stream.name, stream])),
    config: {},
    file: '(test)',
    ...overrides,
  }
}
