/** The streams' part of `backfill status`: one row of numbers each, and below it how far, how well and how many rows. */
import type { StatusReport, StreamStatus } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import type { Ink } from '../ink.js'
import { count, duration, percent, plural, wrap } from '../text.js'
import { clockText } from '../zone.js'
import type { Look } from './view.js'

/** With more streams than this, only those with open or dead tasks get their second lines. */
const detailedStreams = 6
const head = ['STREAM', 'READY', 'LEASED', 'RETRYING', 'DONE', 'TODAY', 'DEAD', 'NEXT DUE']

export function streamLines(report: StatusReport, look: Look): readonly string[] {
  const { ink, columns } = look
  if (report.streams.length === 0) return []
  const rows = report.streams.map((stream) => row(stream, report.at))
  const lines = renderColumns({ head, rows, right: [1, 2, 3, 4, 5, 6, 7], middle: [0], columns, paint: painter(ink) })
  const [title = '', ...body] = lines
  return [title, ...report.streams.flatMap((stream, index) => [body[index] ?? '', ...details(stream, report, look)])]
}

function row({ source, stream, counts }: StreamStatus, now: number): readonly string[] {
  const numbers = [counts.ready, counts.leased, counts.retrying, counts.done, counts.doneToday, counts.dead]
  const isDue = counts.ready > counts.waiting
  const next = isDue ? 'now' : counts.nextDueAt === null ? '-' : clockText(counts.nextDueAt, now)
  return [`${source}.${stream}`, ...numbers.map(count), next]
}

function painter(ink: Ink): (text: string, row: number | null, column: number) => string {
  const colors = [ink.bold, ink.reset, ink.cyan, ink.yellow, ink.green, ink.reset, ink.red.bold, ink.reset]
  return (text, position, column) => {
    if (position === null || text === '0' || text === '-') return ink.dim(text)
    return (colors[column] ?? ink.reset)(text)
  }
}

function details(status: StreamStatus, report: StatusReport, look: Look): readonly string[] {
  const { counts } = status
  const isBusy = counts.ready + counts.leased + counts.dead > 0
  const isUntouched = counts.ready + counts.leased + counts.dead + counts.done + counts.totals.received === 0
  if (isUntouched) return []
  const isShort = !isBusy && report.streams.length > detailedStreams
  const said = isShort ? needing(status) : [progress(status, report), ...rowFacts(status), ...needing(status)]
  const lines = said.flatMap((line) => wrap(line, look.columns - 2))
  return lines.map((line) => `  ${paintBar(line.trimEnd().replaceAll('\u00a0', ' '), look.ink)}`)
}

function progress(status: StreamStatus, report: StatusReport): string {
  const { counts } = status
  const all = counts.ready + counts.leased + counts.done + counts.dead
  const share = all === 0 ? 0 : counts.done / all
  const parts = [`${bar(share, 16)} ${percent(share)}`]
  if (status.successRate !== null) parts.push(`${percent(status.successRate)} succeed`)
  if (counts.medianWorkedMs !== null) parts.push(`${duration(counts.medianWorkedMs)} a task`)
  if (status.opensAt !== null) parts.push(`opens at ${clockText(status.opensAt, report.at)}`)
  if (status.finish.kind === 'at') parts.push(`done about ${clockText(status.finish.at, report.at)}`)
  if (status.finish.kind === 'unknown') parts.push(`end unknown: ${status.finish.why}`)
  if (!status.isConfigured) parts.push('not in backfill.yaml')
  return parts.map(whole).join('  ')
}

/** Not to be broken at the end of a line. */
function whole(text: string): string {
  return text.replaceAll(' ', '\u00a0')
}

/** Of all walks together: a row that comes again is counted again. */
function rowFacts({ counts, held: heldNow }: StreamStatus): readonly string[] {
  const { received, created, updated, unchanged, held } = counts.totals
  const parts = [
    `${count(created)} created`,
    `${count(updated)} updated`,
    `${count(unchanged)} unchanged`,
    `${count(held)} held`,
  ]
  const lines = received === 0 ? [] : [`${whole(`${count(received)} rows read:`)} ${parts.map(whole).join(', ')}`]
  const unproven = counts.unproven > 0 ? [`${count(counts.unproven)} done without a count to prove it`] : []
  const isOver = held > 0 && heldNow !== null && heldNow.waiting + heldNow.rejected + heldNow.dismissed === 0
  return [...lines, ...(isOver ? ['of the rows held, none is set aside any more'] : []), ...unproven]
}

/** What somebody may have to look at: said however many streams there are. */
function needing({ counts, held: heldNow }: StreamStatus): readonly string[] {
  return [
    ...(counts.differs > 0 ? [`${count(counts.differs)} done but unlike the source's count`] : []),
    ...(heldNow === null ? [] : heldText(heldNow, counts.totals.held)),
  ]
}

/** `held` above counts each time that a row was set aside, in all walks; this one, the rows that still are. */
function heldText(
  { waiting, rejected, dismissed }: NonNullable<StreamStatus['held']>,
  ever: number,
): readonly string[] {
  const rows = waiting + rejected
  if (rows === 0 && dismissed > 0)
    return [`${plural(dismissed, 'row is', 'rows are')} set aside and given up: "backfill status --held"`]
  if (rows === 0) return []
  const parent = rows === 1 ? 'its parent comes' : 'their parent comes'
  const wait =
    waiting === 0 ? '' : waiting === rows ? ` until ${parent}` : `, ${count(waiting)} of them until ${parent}`
  const all = ever > rows ? `, of ${count(ever)} that were held in all walks` : ''
  const given = dismissed === 0 ? '' : ` (${count(dismissed)} more given up)`
  return [`${plural(rows, 'row is', 'rows are')} set aside now${wait}${given}${all}: "backfill status --held"`]
}

/** `████████░░░░░░░░`: full only when all is done, empty only when nothing is. */
function bar(share: number, cells: number): string {
  const exact = Math.min(1, Math.max(0, share)) * cells
  const full = share >= 1 ? cells : Math.min(cells - 1, share > 0 ? Math.max(1, Math.round(exact)) : 0)
  return `${'█'.repeat(full)}${'░'.repeat(cells - full)}`
}

/** Coloured after the wrapping, which counts columns. */
function paintBar(line: string, ink: Ink): string {
  return line.replace(/█+/, (full) => ink.green(full)).replace(/░+/, (rest) => ink.dim(rest))
}
