/**
 * Which tasks are made for what is due: pure policy. Partitions with an open task are left out; many values share one; what is new comes before what changed, and
 * that before what is only old.
 */

import { joinPartitions, singlePartitions } from '../domain/fan-out.js'
import type { DuePartition } from '../domain/follow.js'
import { fullWalkPartition, isFullWalk, wholePartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
import type { Stream } from '../domain/source-model.js'

/** Full walks of one stream in the queue at a time: what is begun at night should be over by day. */
const mostFullWalks = 100

/** Partitions of the tasks to make. */
export interface Choice {
  readonly plain: readonly Partition[]
  /** Nothing says that they changed; their time has come. */
  readonly old: readonly Partition[]
  readonly full: readonly Partition[]
  /** Something is due and was not made. */
  readonly isLeft: boolean
  /** Some of that only waits until its request is full. */
  readonly isWaiting: boolean
}

/** Which tasks are made for what is due: pure. Partitions with an open task are left out; many values share one. */
export function choose(
  due: readonly DuePartition[],
  given: {
    readonly stream: Pick<Stream, 'fanOut'>
    /** Partitions of open tasks. */
    readonly open: readonly Partition[]
    /** Full walks may begin now. */
    readonly isFullTime: boolean
    readonly isParentOpen: boolean
    /** Partitions that may be asked for in this run. */
    readonly room: number
  },
): Choice {
  const { stream, open, isFullTime, isParentOpen, room } = given
  const openPlain = openKeys(
    stream,
    open.filter((partition) => !isFullWalk(partition)),
  )
  const openFull = openKeys(stream, open.filter(isFullWalk))
  const closed = due
    .filter(({ reason }) => reason !== 'full')
    .filter(({ partition }) => !openPlain.has(partitionKey(partition)))
  // New ones come first, then changed, then old ones: those that the run has no room for are the least urgent.
  const wanted = closed.slice(0, Math.max(0, room))
  // One that was never walked is walked whole anyway: those without a watermark share requests among themselves.
  const first = groups(
    wanted.filter(({ watermark }) => watermark === null),
    stream,
    isParentOpen,
  )
  const known = wanted.filter(({ watermark }) => watermark !== null)
  const again = groups(
    known.filter(({ reason }) => reason !== 'old'),
    stream,
    isParentOpen,
  )
  const old = groups(
    known.filter(({ reason }) => reason === 'old'),
    stream,
    false,
  )
  const dueFull = due.filter(({ reason, partition }) => reason === 'full' && !openFull.has(partitionKey(partition)))
  const full = isFullTime ? groups(dueFull, stream, false).partitions : []
  const fullRoom = Math.max(0, mostFullWalks - open.filter(isFullWalk).length)
  return {
    plain: [...first.partitions, ...again.partitions],
    old: old.partitions,
    full: full.slice(0, fullRoom).map(fullWalkPartition),
    isWaiting: first.isLeft || again.isLeft,
    isLeft:
      first.isLeft ||
      again.isLeft ||
      wanted.length < closed.length ||
      full.length > fullRoom ||
      (dueFull.length > 0 && !isFullTime),
  }
}

function openKeys(stream: Pick<Stream, 'fanOut'>, open: readonly Partition[]): ReadonlySet<string> {
  return new Set(open.flatMap((partition) => singlePartitions(stream, wholePartition(partition)).map(partitionKey)))
}

/** One partition for each task, in the order in which they are due. */
function groups(
  due: readonly DuePartition[],
  stream: Pick<Stream, 'fanOut'>,
  mayWait: boolean,
): { readonly partitions: readonly Partition[]; readonly isLeft: boolean } {
  const { full, short } = joinPartitions(
    stream,
    due.map(({ partition }) => partition),
  )
  return { partitions: mayWait ? full : [...full, ...short], isLeft: mayWait && short.length > 0 }
}
