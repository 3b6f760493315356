/**
 * The rows of a simulated municipality: invented pages of agendas and minutes, the same for the same seed, with the ids that clerk's code would give
 * them (wire/civicband.md §3.2). It knows no HTTP and no SQL.
 */
import { createHash } from 'node:crypto'
import { pick, type Random, randomFrom, syntheticText, wholeBetween } from '../synthetic.js'
import type { Rebuild } from './switches.js'

export const tables = ['agendas', 'minutes'] as const
export type TableName = (typeof tables)[number]

/** One row of a site's `agendas` or `minutes`. */
export interface MeetingPage {
  readonly id: string
  readonly meeting: string
  /** A folder's name at the source: nearly always `YYYY-MM-DD`. */
  readonly date: string
  readonly page: number
  readonly text: string
  readonly page_image: string
  /** JSON in a string. */
  readonly entities_json: string
  readonly votes_json: string
}

/** How large a simulated municipality is, and what is odd about it. */
export interface SiteSize {
  readonly agendas: number
  readonly minutes: number
  /** Documents whose date is no date, per table. */
  readonly malformedDates?: number
  /** Pages whose text holds U+0000, which Postgres cannot store, per table. */
  readonly unstorableTexts?: number
}

const meetings = ['CityCouncil', 'PlanningCommission', 'LibraryBoard', 'ParksCommission', 'HarborCommission']
const firstDay = Date.UTC(2024, 0, 2)
const dayMs = 86_400_000
/** After all dates of the first build. */
const addedDate = '2024-02-06'
const noEntities = JSON.stringify({ persons: [], orgs: [], locations: [] })
const noVotes = JSON.stringify({ votes: [] })

/** All pages of one table, without an order that means anything. Page 2 of the first document is blank, in every site. */
export function makePages(table: TableName, size: SiteSize, seed: string): MeetingPage[] {
  const random = randomFrom(`${seed} ${table}`)
  const pages: MeetingPage[] = []
  for (let document = 0; pages.length < size[table]; document += 1) {
    const folder = { table, meeting: meetings[document % meetings.length] ?? '', date: dateOf(document, size) }
    const last = document === 0 ? 2 : wholeBetween(random, 1, 9)
    for (let page = 1; page <= last && pages.length < size[table]; page += 1) {
      // The same id in every site: its content is the same, and the site is no part of the hash.
      const isBlank = document === 0 && page === 2
      const nul = document > 0 && pages.length < 2 + (size.unstorableTexts ?? 0) ? '\u0000' : ''
      pages.push(
        makePage({ ...folder, page, text: isBlank ? '' : nul + syntheticText(random, wholeBetween(random, 4, 14)) }),
      )
    }
  }
  return pages
}

/** What is left of the pages after an update: changed, added, removed or extracted as asked. */
export function rebuildPages(
  pages: readonly MeetingPage[],
  change: Rebuild,
  build: { readonly table: TableName; readonly seed: string },
): MeetingPage[] {
  const { table } = build
  const random = randomFrom(`${build.seed} ${table} rebuilt`)
  const kept = pages.slice(change.removed)
  const step = Math.max(1, Math.floor(kept.length / Math.max(1, change.changed)))
  const result = kept.map((page, place) => {
    const isChanged = change.changed > 0 && place % step === 0 && place / step < change.changed
    return isChanged ? makePage({ ...page, table, text: `${page.text} (scanned again)` }) : page
  })
  const numbers = pages.filter((page) => page.date === addedDate).map((page) => page.page)
  const last = Math.max(0, ...numbers)
  for (let added = 1; added <= change.added; added += 1) result.push(pageWithLowId(table, last + added, random))
  return change.extracted ? result.map((page) => extracted(page, random)) : result
}

/**
 * clerk's id: the first 12 hex digits of sha-256 over Python's `json.dumps(…, sort_keys=True)` of kind, meeting, date, page and text. The municipality
 * is no part of it, so equal pages of two municipalities have equal ids (§3.2).
 */
export function contentId(content: PageContent): string {
  const kind = content.table === 'agendas' ? 'agenda' : 'minutes'
  const { date, meeting, page, text } = content
  const fields = Object.entries({ date, kind, meeting, page, text }).map(
    ([name, value]) => `"${name}": ${pythonJson(value)}`,
  )
  return createHash('sha256')
    .update(`{${fields.join(', ')}}`)
    .digest('hex')
    .slice(0, 12)
}

export interface PageContent {
  readonly table: TableName
  readonly meeting: string
  readonly date: string
  readonly page: number
  readonly text: string
}

function makePage(content: PageContent): MeetingPage {
  const { table, meeting, date, page, text } = content
  const folder = table === 'agendas' ? '/_agendas' : ''
  return {
    id: contentId(content),
    meeting,
    date,
    page,
    text,
    page_image: `${folder}/${meeting}/${date}/${page}.png`,
    entities_json: noEntities,
    votes_json: noVotes,
  }
}

function dateOf(document: number, size: SiteSize): string {
  // Document 0 keeps its date: its blank page is the one that all sites share.
  if (document > 0 && document <= (size.malformedDates ?? 0)) return `2024-${document}-00-draft`
  const week = Math.floor(document / meetings.length)
  return new Date(firstDay - week * 7 * dayMs).toISOString().slice(0, 10)
}

function extracted(page: MeetingPage, random: Random): MeetingPage {
  const entities = { persons: [], orgs: [pick(random, ['Harbor Trust', 'Dock Nine Co-op'])], locations: ['Pier 9'] }
  const votes = { votes: [{ motion: 'adopt', ayes: wholeBetween(random, 3, 7), noes: wholeBetween(random, 0, 2) }] }
  return { ...page, entities_json: JSON.stringify(entities), votes_json: JSON.stringify(votes) }
}

function pageWithLowId(table: TableName, number: number, random: Random): MeetingPage {
  for (;;) {
    const text = syntheticText(random, 4)
    const page = makePage({ table, meeting: 'CityCouncil', date: addedDate, page: number, text })
    if (page.id.startsWith('0')) return page
  }
}

/** A value as Python's json.dumps writes it: printable ASCII only. */
function pythonJson(value: string | number): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
