/** What a count on each side means: the four verdicts and their sentences. Pure. */
import type { Partition } from '../domain/partition.js'
import type { PartitionActual, SourceCount } from '../domain/ports.js'
import { mayPrune } from '../domain/prune.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Stream } from '../domain/source-model.js'
import type { Task } from '../domain/task.js'
import { seedAgain, seedFirst } from './remedy.js'
import type { Verdict } from './types.js'

export interface Evidence {
  readonly selected: SelectedStream
  readonly partition: Partition
  /** The open task, else the newest finished one. */
  readonly task: Task | null
  readonly expected: SourceCount | null
  readonly actual: PartitionActual
  /** False: there is no table. */
  readonly hasTable: boolean
}
export interface Judgement {
  readonly verdict: Verdict
  readonly sentence: string
}

export function judge(evidence: Evidence): Judgement {
  const { task, expected, actual } = evidence
  if (task !== null && isOpen(task)) return owed(task, expected, actual.rows)
  if (actual.rows === null) return unproven('the table has no column for a dimension, so its rows cannot be told apart')
  const stored = actual.rows
  const loss = expected?.trust === 'exact' ? null : lossOf(evidence, stored)
  if (loss !== null) return loss
  if (expected === null) return withoutCount(evidence, stored)
  if (expected.trust === 'at least') return judgeLowerBound(evidence, expected, stored)
  if (expected.value === stored) return { verdict: 'equal', sentence: `${rows(stored)} on both sides` }
  if (expected.value === accountedFor(actual)) return equalButGivenUp(expected.value, stored)
  return judgeDifference(evidence, expected, stored)
}

/** Rows of the table and rows that an operator gave up: what the source may have without anything being lost. */
export function accountedFor({ rows: stored, dismissed }: Pick<PartitionActual, 'rows' | 'dismissed'>): number {
  return (stored ?? 0) + (dismissed?.met ?? 0)
}

/** Held rows without those given up that the table has in another form, or that the last walk did not bring any more. */
function heldAtSource(actual: PartitionActual): number {
  return actual.held - Math.max(0, goneOf(actual)) - (actual.dismissed?.inTable ?? 0)
}

function goneOf({ dismissed }: PartitionActual): number {
  return (dismissed?.rows ?? 0) - (dismissed?.met ?? 0) - (dismissed?.inTable ?? 0)
}

function equalButGivenUp(expected: number, stored: number): Judgement {
  const given = expected - stored
  const sentence = `the source has ${rows(expected)}: ${count(stored)} in the table, ${count(given)} given up by hand`
  return { verdict: 'equal', sentence }
}

/**
 * What is gone that the last walk put there: a source without a count does not tell, the walk does. Rows that it made were in the table at its end, whatever the
 * disposition, and only a hand takes them out of their partition after that, as long as the key says which one it is. What it brought beside those may have
 * come twice, so of that only a table that has none of it is proof.
 */
function lossOf({ selected, partition, actual }: Evidence, stored: number): Judgement | null {
  const { lastWalk } = actual
  if (lastWalk === null || !isInKey(selected)) return null
  const held = heldAtSource(actual)
  const again = seedAgain(selected, partition)
  const least = lastWalk.leastStored ?? 0
  const hasNone = stored === 0 && held === 0 && lastWalk.distinct > 0
  if (hasNone)
    return discrepancy(`the last walk brought ${rows(lastWalk.distinct)}, the table has none of them: ${again}`)
  if (stored >= least) return null
  const gone = `${count(least - stored)} ${least - stored === 1 ? 'is' : 'are'} gone`
  return discrepancy(`the last walk left ${rows(least)} or more, the table has ${count(stored)}: ${gone}; ${again}`)
}

/** A row of such a stream never moves from one partition to another. */
function isInKey({ stream: { key, columns, dimensions, match } }: SelectedStream): boolean {
  const ofKey = columns?.flatMap(({ name, dimension }) => (key.includes(name) ? [dimension] : [])) ?? key
  return dimensions.every(
    (name) => ofKey.includes(name) || (Object.hasOwn(match, name) && key.includes(match[name] ?? '')),
  )
}

function withoutCount({ selected, partition, task, actual, hasTable }: Evidence, stored: number): Judgement {
  const { lastWalk } = actual
  if (task === null && lastWalk === null)
    return unproven(`never walked, and the source gives no count: ${seedFirst(selected, partition)}`)
  const there = `${hasTable ? `the table has ${rows(stored)}` : 'there is no table'}${givenUpBeside(actual)}`
  const fewer = (lastWalk?.distinct ?? 0) - stored - heldAtSource(actual)
  const least =
    lastWalk === null || fewer <= 0
      ? ''
      : `, ${count(fewer)} fewer than its last walk brought, where some may have come twice`
  const gives = selected.stream.count.length === 0 ? 'gives no count' : 'gave no count that can be read'
  return unproven(`the source ${gives}; ${there}${least}`)
}

function judgeLowerBound({ selected, partition, actual }: Evidence, expected: SourceCount, stored: number): Judgement {
  const given = givenUpBeside(actual)
  if (accountedFor(actual) >= expected.value)
    return unproven(`the source only says "at least ${count(expected.value)}"; the table has ${rows(stored)}${given}`)
  const sides = `the source has at least ${rows(expected.value)}, the table ${count(stored)}${given}`
  return discrepancy(`${sides}: ${seedAgain(selected, partition)}`)
}

function judgeDifference(evidence: Evidence, expected: SourceCount, stored: number): Judgement {
  const { selected, partition, task, actual } = evidence
  const walk = actual.lastWalk
  if (task === null && walk === null)
    return discrepancy(`never walked; the source has ${rows(expected.value)}: ${seedFirst(selected, partition)}`)
  // A walk that reads pages twice on purpose knows better what the source counted than how many rows were distinct.
  const walked = walk?.proof === 'proven' ? [walk.distinct, walk.expected?.value] : []
  const isAsWalked = walked.some((rows) => rows !== undefined && rows - heldAtSource(actual) === stored)
  const hasMoved = walk?.expected?.trust === 'exact' && walk.expected.value !== expected.value
  if (isAsWalked && hasMoved) {
    const when = new Date(walk.finishedAt).toISOString()
    const met = actual.dismissed?.met ?? 0
    const given = met === 0 ? '' : ` (${count(met)} of them given up)`
    const next = selected.stream.everyMs === null ? seedAgain(selected, partition) : 'the worker comes round to it'
    return {
      verdict: 'moved',
      sentence: `equal at the last walk (${when}) with ${rows(walk.distinct)}${given}; the source has ${count(expected.value)} now: ${next}`,
    }
  }
  return discrepancy(differenceSentence(evidence, expected.value, stored))
}

/**
 * A difference of a stream that is asked for its changes, held against what changed since its watermark: null where that does not explain it. It may explain what
 * is missing and never proves it: rows that changed may be others than those that are missing.
 */
export function explainChanges({
  stream,
  expected,
  stored,
  givenUp = 0,
  changed,
  freshTo,
}: {
  readonly stream: Pick<Stream, 'disposition' | 'incremental'>
  readonly expected: number
  readonly stored: number
  /** Rows beside those of the table that account for some of the source's. */
  readonly givenUp?: number
  /** Rows that changed since the watermark, by the source; null: it did not say. */
  readonly changed: number | null
  /** Unix ms. */
  readonly freshTo: number
}): Judgement | null {
  const missing = expected - stored - givenUp
  if (missing < 0) {
    const isTaken = mayPrune(stream) && (stream.incremental?.fullWalk ?? null) !== null
    if (!isTaken) return null
    const sentence = `${count(-missing)} more than the source; what was deleted there goes with the next full walk`
    return { verdict: 'moved', sentence }
  }
  if (changed === null || changed < missing) return null
  const since = new Date(freshTo).toISOString()
  const fewer = `the source has ${rows(expected)}, the table ${count(stored)}${givenUpText(givenUp)}`
  return unproven(
    `${fewer}; ${rows(changed)} changed there up to now since ${since}, and may be the reason: run "backfill worker", then verify again`,
  )
}

function differenceSentence(evidence: Evidence, expected: number, stored: number): string {
  const { selected, partition, actual, hasTable } = evidence
  const { heldBeside = 0 } = actual
  const held = Math.max(0, actual.held - (actual.dismissed?.rows ?? 0))
  const missing = expected - accountedFor(actual)
  const again = seedAgain(selected, partition)
  if (!hasTable) return `the source has ${rows(expected)}, and there is no table "${tableOf(selected)}": ${again}`
  const sides = `the source has ${rows(expected)}, the table ${count(stored)}${givenUpBeside(actual)}`
  if (missing < 0) return `${sides}: ${count(-missing)} more than the source; ${fateOfMore(evidence, -missing)}`
  if (held === missing && held > 0)
    return `${sides}: the ${held === 1 ? 'one' : count(held)} missing ${held === 1 ? 'is' : 'are'} held with a reason: run "backfill status --held"`
  const heldPart = held > 0 ? `, ${count(Math.min(held, missing))} of them held` : ''
  const besidePart =
    heldBeside > 0 ? `, some maybe among the ${count(heldBeside)} held of requests for these and other values` : ''
  return `${sides}: ${count(missing)} missing${heldPart}${besidePart}; ${again}${goneText(actual)}`
}

/** What becomes of rows that the source does not have. */
function fateOfMore({ selected, partition, actual }: Evidence, more: number): string {
  const again = seedAgain(selected, partition)
  if (more <= (actual.dismissed?.met ?? 0)) return `what was given up may be gone there, which a walk tells: ${again}`
  if (mayPrune(selected.stream)) return `what was deleted there goes with the next proven walk: ${again}`
  const isKeyless = selected.stream.key.length === 0
  return isKeyless ? 'without a key, each walk adds its rows again' : 'rows deleted there, or put here by hand, stay'
}

/** `, and 2 are given up`; empty where none accounts for a row of the source. */
function givenUpBeside({ dismissed }: PartitionActual): string {
  return givenUpText(dismissed?.met ?? 0)
}

function givenUpText(given: number): string {
  return given === 0 ? '' : `, and ${count(given)} ${given === 1 ? 'is' : 'are'} given up`
}

/** Why rows that were given up do not explain what is missing. */
function goneText(actual: PartitionActual): string {
  const gone = goneOf(actual)
  if (gone <= 0) return ''
  const does = gone === 1 ? 'given up explains none of it' : 'given up explain none of it'
  return ` (${rows(gone)} ${does}: the last walk did not bring ${gone === 1 ? 'it' : 'them'} any more)`
}

function tableOf({ stream: { table } }: SelectedStream): string {
  return `${table.schema}.${table.name}`
}

function owed(task: Task, expected: SourceCount | null, stored: number | null): Judgement {
  const state =
    task.state === 'leased'
      ? 'is running'
      : task.state === 'dead'
        ? `is dead (${task.code ?? 'no code'})`
        : 'is waiting'
  if (expected === null || stored === null) return unproven(`owed: task ${task.number} ${state}`)
  return unproven(`owed: task ${task.number} ${state}; the table has ${count(stored)} of ${rows(expected.value)}`)
}

function isOpen(task: Task): boolean {
  return task.state === 'ready' || task.state === 'leased' || task.state === 'dead'
}

function discrepancy(sentence: string): Judgement {
  return { verdict: 'discrepancy', sentence }
}

function unproven(sentence: string): Judgement {
  return { verdict: 'unproven', sentence }
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function rows(value: number): string {
  return `${count(value)} row${value === 1 ? '' : 's'}`
}
