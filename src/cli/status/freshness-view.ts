/** Freshness in `backfill status`: up to when each stream's changes are in its table, how many of its partitions are behind, and when it will be level. */
import type { Freshness, StatusReport, StreamStatus } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import { count } from '../text.js'
import { clockText } from '../zone.js'
import type { Look } from './view.js'

export function freshnessLines({ streams, at }: StatusReport, { ink, columns }: Look): readonly string[] {
  const rows = streams.flatMap((stream) => (stream.freshness === null ? [] : [row(stream, stream.freshness, at)]))
  if (rows.length === 0) return []
  return renderColumns({
    head: ['FRESHNESS', 'FRESH TO', 'BEHIND', 'NEXT', 'LEVEL'],
    rows,
    flexible: 0,
    middle: [0],
    columns,
    paint: (text, position, column) => {
      if (position === null || text === '-') return ink.dim(text)
      if (column === 4) return text === 'now' ? ink.green(text) : ink.yellow(text)
      return text
    },
  })
}

function row(stream: StreamStatus, freshness: Freshness, now: number): readonly string[] {
  const { freshTo, partitions, behind, nextAt } = freshness
  return [
    `${stream.source}.${stream.stream}`,
    freshTo === null ? 'not yet' : clockText(freshTo, now),
    partitions === null || behind === null ? '-' : `${count(behind)} of ${count(partitions)}`,
    nextAt === null ? '-' : shortClock(Math.max(now, nextAt), now),
    levelText(stream, freshness, now),
  ]
}

/** Far away the day is enough: the line is short. */
function shortClock(at: number, now: number): string {
  return clockText(at, now).replace(/^(\d{4}-\d\d-\d\d) .*$/, '$1')
}

/** When nothing is owed any more at the present pace. */
function levelText({ counts, finish }: StreamStatus, { behind }: Freshness, now: number): string {
  if (finish.kind === 'at') return `about ${clockText(finish.at, now)}`
  if (counts.dead > 0) return 'dead tasks'
  return behind === null || behind === 0 ? 'now' : 'next run'
}
