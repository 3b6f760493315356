/**
 * Decides what a proven walk of a mirrored stream ends with: nothing to delete, a deletion that something confirms, a second walk, or an operator's word. Owns
 * the order of these questions; knows no SQL and no HTTP. Nothing is kept here: answers about single rows are durable as they come.
 */
import { PromotionConflict } from '../domain/errors.js'
import type {
  Checkpoint,
  Clock,
  Destination,
  KeyText,
  Log,
  Missing,
  PruneScope,
  StreamTable,
  WalkEnd,
} from '../domain/ports.js'
import { isTooMany } from '../domain/prune.js'
import type { Stream } from '../domain/source-model.js'

export interface PruneDeps {
  readonly stream: Stream
  readonly table: StreamTable
  readonly destination: Destination
  readonly clock: Clock
  readonly log: Log
  readonly scope: PruneScope
  /** Asks the source about rows, in one request. */
  readonly areGone: (keys: readonly KeyText[]) => Promise<readonly boolean[]>
}

/** Answers about rows are written down at least this often, so that a kill costs only what is younger. */
const durableMs = 1000
const keysAtOnce = 500

/** @throws PromotionConflict `prune_empty` and `prune_too_many`, until an operator agrees; what the source throws when asked about a row. */
export async function decidePrune(checkpoint: Checkpoint, deps: PruneDeps): Promise<WalkEnd> {
  const { stream, destination, table, scope } = deps
  const found = await destination.missing(checkpoint, table, scope)
  if (found.waitsFor.length > 0) {
    deps.log('info', 'prune waits for other partitions', { stream: nameOf(stream), waits_for: found.waitsFor })
    return { kind: 'keep' }
  }
  if (found.missing === 0) return { kind: 'keep' }
  if (found.cascades.length > 0 && !stream.prune.cascades) {
    deps.log('warn', 'missing rows kept: other tables would lose rows with them', {
      stream: nameOf(stream),
      missing: found.missing,
      tables: found.cascades,
    })
    return { kind: 'keep' }
  }
  await refuseTooMany(checkpoint, found, deps)
  if (found.confirmed === found.missing) return { kind: 'prune', scope }
  const { confirm } = stream.prune
  if (typeof confirm !== 'string') {
    await askForEach(checkpoint, deps, confirm.many?.max ?? 1)
    return { kind: 'prune', scope }
  }
  return confirm === 'again' && found.mayConfirmAgain ? { kind: 'again' } : { kind: 'prune', scope }
}

async function refuseTooMany(checkpoint: Checkpoint, missing: Missing, deps: PruneDeps): Promise<void> {
  const { stream, destination } = deps
  const hasNothing = checkpoint.walk?.received === 0
  // One empty walk of many is nothing special; one after another they could take the table, a small share each.
  const found = missing.isShared && !hasNothing ? { ...missing, recent: 0 } : missing
  const isEmpty = hasNothing && wasAllEmpty(found)
  const needsWord = isEmpty ? found.missing > found.agreed : isTooMany(stream.prune, found)
  if (!needsWord) return
  await destination.askOperator(checkpoint, found.missing)
  const { most } = stream.prune
  const allowed = 'rows' in most ? `${most.rows} rows` : `${percent(most.share)} of the rows`
  const fact = isEmpty
    ? `an empty walk, and ${found.rows} rows in the table`
    : `${found.missing} of ${found.rows} rows missing at the source${recentText(found)}, more than ${allowed}`
  throw new PromotionConflict(
    isEmpty ? 'prune_empty' : 'prune_too_many',
    `delete what "${nameOf(stream)}" no longer has found ${fact}`,
    {
      hint: `nothing was deleted; compare with "backfill verify ${nameOf(stream)}", and where they are really gone run "backfill retry --agree" with this task`,
      context: { missing: found.missing, rows: found.rows },
    },
  )
}

/** A partition without a row is nothing special among many that have a say together, unless none of them brought any. */
function wasAllEmpty({ isShared, isSmallPart, missing, rows }: Missing): boolean {
  return isShared ? missing >= rows : !isSmallPart
}

function recentText({ recent }: Missing): string {
  return recent === 0 ? '' : ` and ${recent} deleted since yesterday`
}

/** Asks the source about each missing row, some in one request; its answer is durable within a second. */
async function askForEach(checkpoint: Checkpoint, deps: PruneDeps, atOnce: number): Promise<void> {
  const { destination, table, scope, clock } = deps
  for (;;) {
    const keys = await destination.unconfirmed(checkpoint, table, { ...scope, limit: keysAtOnce })
    if (keys.length === 0) return
    let answers: { readonly key: KeyText; readonly isGone: boolean }[] = []
    let writtenAt = clock.monotonic()
    const write = async (): Promise<void> => {
      if (answers.length > 0) await destination.confirm(table, answers, scope.partition)
      answers = []
      writtenAt = clock.monotonic()
    }
    try {
      for (let at = 0; at < keys.length; at += atOnce) {
        const some = keys.slice(at, at + atOnce)
        const gone = await deps.areGone(some)
        answers.push(...some.map((key, index) => ({ key, isGone: gone[index] === true })))
        if (clock.monotonic() - writtenAt >= durableMs) await write()
      }
    } finally {
      await write()
    }
  }
}

function nameOf({ source, name }: Stream): string {
  return `${source}.${name}`
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`
}
