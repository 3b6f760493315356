/** Why a school was asked the same twice: what its answers excuse, what the program declares, and what nothing explains. Works on the audit's entries alone. */
import type { AuditEntry } from '../../src/simulators/audit.js'
import { type Repeat, repeats } from '../../src/simulators/school-42/audit.js'

export interface RepeatGroup {
  readonly why: string
  readonly count: number
  /** One of them, as it was sent. */
  readonly example: string
}
/** Moments (Unix ms) at which something happened that makes a request come again. */
export interface Occasions {
  readonly kills: readonly number[]
  /** From when on everything is asked for anew: a round, a forced seed. */
  readonly rounds: readonly number[]
  /** When `verify` ran: it asks for the first page of what was walked, or is. */
  readonly verifies?: readonly { readonly from: number; readonly to: number }[]
  /** When runs had ended at their longest time: what was under way is asked for again. */
  readonly ends?: readonly number[]
}
/** A run ends so soon after its last requests were answered, ms. */
const endingMs = 3000
export const unexplained = 'nothing explains it'

/** Every repeat, by reason, most first. */
export function groupRepeats(entries: readonly AuditEntry[], occasions: Occasions): readonly RepeatGroup[] {
  const byNumber = new Map(entries.map((entry) => [entry.number, entry]))
  const multiPage = pagedLists(entries)
  const faults = faultsByList(entries)
  const withoutTotal = new Set(
    entries.filter(({ labels }) => labels.hides === 'total').map(({ path }) => listOf(new URL(path, 'http://school'))),
  )
  const groups = new Map<string, { count: number; example: string }>()
  for (const repeat of repeats(entries)) {
    const moments = [repeat.first, repeat.again].map((number) => byNumber.get(number)?.answeredAt ?? 0)
    const why = reason(repeat, { moments, multiPage, faults, withoutTotal, occasions })
    const group = groups.get(why) ?? { count: 0, example: `${repeat.method} ${decodeURIComponent(repeat.path)}` }
    groups.set(why, { ...group, count: group.count + 1 })
  }
  return [...groups].map(([why, group]) => ({ why, ...group })).sort((one, other) => other.count - one.count)
}

interface Sight {
  readonly moments: readonly number[]
  readonly multiPage: ReadonlySet<string>
  /** Numbers of the requests of each list that got no answer to use. */
  readonly faults: ReadonlyMap<string, readonly number[]>
  /** Lists of which an answer named no total. */
  readonly withoutTotal: ReadonlySet<string>
  readonly occasions: Occasions
}

function reason(repeat: Repeat, { moments, multiPage, faults, withoutTotal, occasions }: Sight): string {
  const [first = 0, again = 0] = moments
  const url = new URL(repeat.path, 'http://school')
  const lies = (at: number) => at >= first - 200 && at <= again
  if (repeat.excuse !== null) return repeat.excuse
  if (occasions.kills.some(lies)) return 'the worker was killed between the two'
  if (url.searchParams.has('range[updated_at]') || url.searchParams.has('range[end_at]')) return 'overlap of a delta'
  if (occasions.rounds.some(lies)) return 'a new round'
  if (url.searchParams.has('filter[id]')) return 'confirmation of a deletion'
  const isVerify = (at: number) => occasions.verifies?.some(({ from, to }) => at >= from && at <= to) === true
  if (url.searchParams.get('page') === '1' && (isVerify(first) || isVerify(again))) return 'verify ran'
  if (url.pathname === '/v2/projects') return 'two streams on one list (projects, campus_projects)'
  if (url.searchParams.get('page') === '1' && multiPage.has(listOf(url)))
    return 'probe page of a walk from the last page'
  if (occasions.ends?.some((at) => at >= first && at - first <= endingMs && again >= at) === true)
    return 'it was under way when its run ended'
  // A walk that does not know its last page goes forward until an answer says which it is, and back from there.
  if (url.searchParams.get('page') === '2' && withoutTotal.has(listOf(url))) return 'the first answer named no total'
  // The attempt ended with the fault; pages that were not promoted yet are asked for again.
  const isAfterFault = faults.get(listOf(url))?.some((number) => number > repeat.first && number < repeat.again)
  return isAfterFault === true ? 'another page of the walk got no answer, and the attempt ended' : unexplained
}

function faultsByList(entries: readonly AuditEntry[]): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>()
  for (const { number, path, status, labels } of entries) {
    if (status >= 200 && status < 300 && labels.trap === undefined) continue
    const list = listOf(new URL(path, 'http://school'))
    found.set(list, [...(found.get(list) ?? []), number])
  }
  return found
}

/** Lists of which a further page was asked for. */
function pagedLists(entries: readonly AuditEntry[]): ReadonlySet<string> {
  const lists = new Set<string>()
  for (const { path } of entries) {
    const url = new URL(path, 'http://school')
    if (Number(url.searchParams.get('page') ?? 1) > 1) lists.add(listOf(url))
  }
  return lists
}

function listOf(url: URL): string {
  const rest = new URLSearchParams(url.searchParams)
  rest.delete('page')
  return `${url.pathname}?${rest.toString()}`
}
