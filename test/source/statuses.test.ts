// A status alone does not say who answered: the same 403 is a wall that goes away, a user agent that is missing, or a right that is.
import { afterEach, describe, expect, it } from 'vitest'
import { SourceRejected, SourceUnavailable } from '../../src/domain/errors.js'
import type { StatusFate } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const rules: StatusFate = [
  { contentType: 'text/html', fate: 'retry' },
  { isEmpty: true, fate: 'budget' },
  { fate: 'dead' },
]
const wall = { type: 'text/html; charset=UTF-8', body: '<!DOCTYPE html><html><head><title>Just a moment...</title>' }
const right = {
  type: 'application/json',
  body: '{"error":"Forbidden"}',
  challenge:
    'Bearer realm="API", error="insufficient scope", error_description="The action need the following scopes: [forum]"',
}
const nothing = { type: 'text/plain', body: '' }

async function meet(
  answer: { readonly type: string; readonly body: string; readonly challenge?: string },
  statuses: Readonly<Record<string, StatusFate>> = {},
) {
  const server = await serve((_, response) => {
    const challenge = answer.challenge === undefined ? {} : { 'www-authenticate': answer.challenge }
    response.writeHead(403, { 'content-type': answer.type, ...challenge }).end(answer.body)
  })
  const { client, budget } = bench()
  budget.closes = true
  const stream = streamOf({ settings: { retries: 1, statuses } })
  const error = await errorOf(pagesOf(client, startOf(sourceOf(server.origin), stream)))
  return { error, asked: server.seen.length }
}

describe('a 403', () => {
  it('of a wall is waited for where the definition knows it, as a failure of the source', async () => {
    const { error, asked } = await meet(wall, { 403: rules })
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error).toMatchObject({ code: 'http_403', context: { status: 403, is_disguised: true } })
    expect(asked).toBe(2)
  })

  it('of a wall that the definition does not know names the way out', async () => {
    const { error, asked } = await meet(wall)
    expect(error).toBeInstanceOf(SourceRejected)
    expect(error.hint).toContain('{ content_type: text/html, fate: retry }')
    expect(asked).toBe(1)
  })

  it('without a word hints at the user agent', async () => {
    const { error } = await meet(nothing)
    expect(error).toBeInstanceOf(SourceRejected)
    expect(error.hint).toContain('user-agent')
    expect((await meet(nothing, { 403: rules })).error.code).toBe('over_budget')
  })

  it('for a missing right is terminal, with what it says of it', async () => {
    const { error } = await meet(right, { 403: rules })
    expect(error).toBeInstanceOf(SourceRejected)
    expect(error.message).toMatch(/"\{"error":"Forbidden"\}" \(The action need the following scopes: \[forum\]\)$/)
    expect(error).toMatchObject({ context: { status: 403 } })
  })

  it('is told apart by a header', async () => {
    const header = { name: 'www-authenticate', contains: 'Insufficient' }
    expect((await meet(right, { 403: [{ header, fate: 'retry' }] })).asked).toBe(2)
    expect((await meet(wall, { 403: [{ header, fate: 'retry' }] })).error).toBeInstanceOf(SourceRejected)
    expect((await meet(right, { 403: [{ header: { ...header, contains: null }, fate: 'retry' }] })).asked).toBe(2)
  })

  it('keeps its default fate where no rule fits', async () => {
    expect((await meet(right, { 403: [{ contentType: 'text/*', fate: 'retry' }] })).error).toBeInstanceOf(
      SourceRejected,
    )
    expect((await meet(wall, { 403: [{ contentType: 'text/*', fate: 'retry' }] })).asked).toBe(2)
  })
})
