// What verify says that it spent: every request that was sent, also those of a question that failed.
import { expect, test } from 'vitest'
import { SourceUnavailable } from '../../src/domain/errors.js'
import type { VerifyDeps, VerifyRequest } from '../../src/verify/types.js'
import { verify } from '../../src/verify/verify.js'
import { makeSource, makeStream } from '../support/stream.js'

test('requests of a question that failed are counted', async () => {
  const stream = makeStream({ dimensions: [] })
  const request: VerifyRequest = {
    streams: [{ source: makeSource([stream]), stream }],
    filter: {},
    today: '2026-03-09',
    isStrict: false,
    signal: new AbortController().signal,
  }
  const deps = {
    client: {
      count: ({ onRequest }: { readonly onRequest: () => void }) => {
        onRequest()
        onRequest()
        return Promise.reject(new SourceUnavailable('http_500', 'found status 500'))
      },
    },
    destination: { checkTable: () => Promise.resolve(true) },
    findings: { of: () => Promise.resolve([]), takeBack: () => Promise.resolve() },
    follows: { followed: () => Promise.resolve([]) },
    queue: { latestTasks: () => Promise.resolve([null]) },
    onVerdict: () => undefined,
  } as unknown as VerifyDeps
  expect(await verify(request, deps)).toMatchObject({ requests: 2, byVerdict: { unproven: 1 } })
})
