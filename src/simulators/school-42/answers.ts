/**
 * Data answers of School 42 (wire/school42.md §2.3 to §2.6): a page with its headers and links, one row, and the errors. It knows no token and no limit.
 */
import { createHash } from 'node:crypto'
import { htmlAnswer, jsonAnswer, type SimulatorAnswer, type SimulatorRequest } from '../simulator.js'
import { type PageAsked, pageAsked, QueryRefused, select } from './query.js'
import type { Moment, Resource } from './resources.js'
import { routeOf, type Target, targetOf } from './routes.js'
import type { School42Switches } from './switches.js'

export interface DataAsked {
  readonly request: SimulatorRequest
  readonly moment: Moment
  readonly switches: School42Switches
  /** Of this answer; another one orders ties in another way. */
  readonly number: number
  /** This page is one of those that come without `X-Total`. */
  readonly hidesTotal: boolean
}

/** The answer to a request that is let in. */
export function dataAnswer(asked: DataAsked): SimulatorAnswer {
  const { request, moment, switches } = asked
  if (request.method !== 'GET') return notFound(switches)
  if (Buffer.byteLength(request.path) > switches.mostAddressBytes) return htmlError(414, 'Request-URI Too Large')
  const target = targetOf(request.url.pathname, moment.school)
  switch (target.kind) {
    case 'no route':
      return htmlError(404, 'Not Found')
    case 'missing':
      return notFound(switches)
    case 'row': {
      const shape = target.resource.fullShape ?? target.resource.shape
      return conditional(request, jsonAnswer(200, shape(target.row as never, moment.school), 1))
    }
    case 'list':
      return listAnswer(asked, target)
  }
}

/** How long the request lies with the service because of the page that it asks for, ms. */
export function slowness(request: SimulatorRequest, switches: School42Switches): number {
  const slow = switches.slowPages[routeOf(request.path)]
  if (slow === undefined) return 0
  return pageAsked(request.url.searchParams, switches.pageCut).size > slow.aboveSize ? slow.ms : 0
}

/** An error page of what stands in front of the API. */
function htmlError(status: number, text: string): SimulatorAnswer {
  const title = `${status} ${text}`
  return htmlAnswer(status, `<html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`)
}

function listAnswer(asked: DataAsked, target: Extract<Target, { kind: 'list' }>): SimulatorAnswer {
  const { request, moment, switches } = asked
  const route = routeOf(request.path)
  const page = pageAsked(request.url.searchParams, Math.min(switches.pageCut, switches.routeCuts[route] ?? Infinity))
  const how = { page, switches, salt: String(asked.number) }
  try {
    const { rows, total } = select(request.url.searchParams, { ...target, moment }, how)
    const hidesTotal = asked.hidesTotal || switches.noTotalOn.includes(route)
    const answer = jsonAnswer(200, shown(rows, target.resource, moment), rows.length)
    const headers = { ...answer.headers, ...pageHeaders(request, page, { total, hidesTotal }) }
    return conditional(request, { ...answer, headers })
  } catch (error) {
    if (!(error instanceof QueryRefused)) throw error
    // A gateway's own error is a page of HTML.
    if (error.status === 502) return htmlError(502, error.error)
    return jsonAnswer(error.status, { error: error.error, message: error.message })
  }
}

function shown(rows: readonly object[], resource: Resource, moment: Moment): readonly object[] {
  return rows.map((row) => resource.shape(row as never, moment.school))
}

function pageHeaders(
  request: SimulatorRequest,
  page: PageAsked,
  of: { readonly total: number; readonly hidesTotal: boolean },
): Record<string, string> {
  const headers: Record<string, string> = { 'x-page': String(page.page), 'x-per-page': String(page.size) }
  if (!of.hidesTotal) headers['x-total'] = String(of.total)
  const links = pageLinks(request, page, of)
  if (links !== '') headers.link = links
  return headers
}

/** First page: next and last; inner ones also first and prev; the last: first and prev (§2.6). Where the total is not told, last is not, either. */
function pageLinks(
  request: SimulatorRequest,
  page: PageAsked,
  of: { readonly total: number; readonly hidesTotal: boolean },
): string {
  const last = Math.max(1, Math.ceil(of.total / page.size))
  const link = (number: number, rel: string) => {
    const url = new URL(request.url)
    url.searchParams.set(page.names.page, String(number))
    url.searchParams.set(page.names.size, String(page.size))
    return `<${url.href}>; rel="${rel}"`
  }
  const links: string[] = []
  if (page.page > 1) links.push(link(1, 'first'), link(page.page - 1, 'prev'))
  if (page.page < last) links.push(link(page.page + 1, 'next'))
  if (page.page < last && !of.hidesTotal) links.push(link(last, 'last'))
  return links.join(', ')
}

/** A weak ETag, and 304 for whoever has it (§2.3). */
function conditional(request: SimulatorRequest, answer: SimulatorAnswer): SimulatorAnswer {
  const etag = `W/"${createHash('md5').update(answer.body).digest('hex')}"`
  const cached = { etag, 'cache-control': 'max-age=0, private, must-revalidate' }
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim())
  if (known.includes(etag)) return { status: 304, headers: cached, body: '', rows: 0 }
  return { ...answer, headers: { ...answer.headers, ...cached } }
}

function notFound(switches: School42Switches): SimulatorAnswer {
  return switches.missing === 'json' ? jsonAnswer(404, {}) : htmlError(404, 'Not Found')
}
