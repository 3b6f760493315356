/**
 * Begins a walk anew whose position the source has forgotten, and says how often that may be. Owns that the new walk has a claim of its own: what the forgotten one
 * saw is of before it. Must not know how the source says that it forgot.
 */
import { AnswerInvalid, type PositionForgotten } from '../domain/errors.js'
import type { Checkpoint, Walk } from '../domain/ports.js'
import type { Lease } from '../domain/task.js'
import type { TaskDeps } from './types.js'
import { begunAnew, freshWalk } from './walk.js'

/** Walks of one task that were forgotten, one after the other: more would go on for ever, run after run. */
const mostForgotten = 10

/** A walk that was forgotten, and what its attempt knows of it. */
export interface Forgotten {
  readonly error: PositionForgotten
  readonly walk: Walk
  /** This attempt has begun anew already. */
  readonly isSecond: boolean
}

/** The walk in its place, and the task as the ledger has it under a new claim; an error: it may not begin anew, or could not. */
export async function beginAnew(
  lease: Lease,
  { error, walk, isSecond }: Forgotten,
  deps: TaskDeps,
): Promise<{ readonly walk: Walk; readonly checkpoint: Checkpoint } | Error> {
  const { stream, partition, clock, uuid, log, destination } = deps
  if (isSecond) return forgottenTwice(error)
  if (stream.key.length === 0 && walk.received > 0) return wouldDouble(error, deps)
  const times = begunAnew(walk) + 1
  if (times >= mostForgotten) return forgottenForEver(error, times, deps)
  const name = `${stream.source}.${stream.name}`
  log('info', 'walk begun anew', { stream: name, partition, page: walk.pages + 1, times, message: error.message })
  try {
    const checkpoint = (await destination.openTasks([lease])).get(lease.task.id)
    if (checkpoint === undefined) return error
    const fresh = freshWalk(stream, { id: uuid(), now: clock.now(), since: walk.since, anew: times })
    return { walk: fresh, checkpoint }
  } catch (failure) {
    return failure instanceof Error ? failure : error
  }
}

function forgottenTwice({ message }: PositionForgotten): AnswerInvalid {
  return new AnswerInvalid('position_forgotten', `${message}, twice in one attempt`, {
    hint: 'the source forgets a position before the next page is asked for: ask for larger pages, or look at what "expired" names',
  })
}

function wouldDouble({ message }: PositionForgotten, { stream }: TaskDeps): AnswerInvalid {
  const name = `${stream.source}.${stream.name}`
  return new AnswerInvalid('position_forgotten', `${message}; without a key a new walk would store its rows twice`, {
    hint: `give "${name}" a key; or take the rows of this partition out of the table, then run "backfill seed ${name} --force"`,
  })
}

function forgottenForEver({ message }: PositionForgotten, times: number, { stream }: TaskDeps): AnswerInvalid {
  return new AnswerInvalid('position_forgotten', `${message}, in ${times} walks of this task`, {
    hint: `runs end before the walk does, and the source forgets where it stood until the next one: let the worker run longer, or ask for larger pages, then run "backfill seed ${stream.source}.${stream.name} --force"`,
    context: { walks: times },
  })
}
