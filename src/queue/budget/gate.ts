/**
 * Owns the rows of `budget_gate`: a source that refused is left alone for a while, then asked by one request at a time, until it answers.
 * Survives a kill: yes, the refusal is on the disk before the answer's fate is decided.
 */
import type { BudgetAnswer, ToldWindow } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'

const undeclaredWaitMs = 60_000
const longestDoubledMs = 3_600_000
const retryAfterBounds = { least: 1_000, most: 86_400_000 }

const gateGet = `
  select refusals, boot, shut_at as shutAt, opens_at as opensAt, shut_at_wall as shutAtWall, opens_at_wall as opensAtWall
  from budget_gate where key = ?`
const gateSet = `
  insert into budget_gate (key, refusals, boot, shut_at, opens_at, shut_at_wall, opens_at_wall) values (?, ?, ?, ?, ?, ?, ?)
  on conflict (key) do update set refusals = excluded.refusals, boot = excluded.boot, shut_at = excluded.shut_at, opens_at = excluded.opens_at,
    shut_at_wall = excluded.shut_at_wall, opens_at_wall = excluded.opens_at_wall`
const gateOpen = `delete from budget_gate where key = ?`
const refusedBegin = `insert into budget_refused (key, since) values (?, ?) on conflict (key) do nothing`
const refusedEnd = `delete from budget_refused where key = ?`
const refusedGet = `select since from budget_refused where key = ?`
const hasRefusedTable = `select 1 from sqlite_schema where name = 'budget_refused'`
/** By the wall clock, and never longer than it was shut for; a gate that was shut in the future was shut now. */
const gateAdopt = `
  update budget_gate set boot = @boot, shut_at = @mono - 1, shut_at_wall = @wall, opens_at_wall = @wall + left_ms, opens_at = @mono + left_ms
  from (select key as gate, max(0, min(opens_at_wall - @wall, opens_at_wall - shut_at_wall)) as left_ms from budget_gate where boot <> @boot)
  where key = gate`

/** Statements that run once a request, for the test that looks at their plans. */
export const gateStatements = { gateGet, gateSet, gateOpen, refusedBegin, refusedEnd }

/** Monotonic ms of this boot. `opensAt` may be past: then one request at a time is let through. */
export interface Gate {
  readonly refusals: number
  readonly shutAt: number
  readonly opensAt: number
}

interface GateRow extends Gate {
  readonly boot: string
  readonly shutAtWall: number
  readonly opensAtWall: number
}

/** null: the source has not refused since its last answer. */
export function readGate(store: Store, key: string): Gate | null {
  const row = store.sql(gateGet).get(key) as GateRow | undefined
  if (row === undefined) return null
  if (row.boot === store.clock.bootId) return row
  // Another boot: by the wall clock, and never longer than it was shut for.
  const leftMs = Math.min(row.opensAtWall - store.clock.now(), row.opensAtWall - row.shutAtWall)
  const now = monotonicMs(store.clock)
  return { refusals: row.refusals, shutAt: now - 1, opensAt: Math.ceil(now + leftMs) }
}

/** True where the answer says that the source wants to be left alone. */
export function isRefusal(answer: BudgetAnswer): boolean {
  return answer.isRefusal || answer.retryAfterMs !== null
}

/**
 * Shuts the gate. An answer to a request that was sent before it was last shut is no second refusal: it may only prolong.
 * @returns when it opens, monotonic ms.
 */
export function shutGate(
  store: Store,
  refused: {
    readonly rules: BudgetRules
    readonly sentAt: number
    readonly answer: Pick<BudgetAnswer, 'retryAfterMs' | 'windows'>
    /** 0 to below 1. */
    readonly jitter: number
  },
): number {
  const { rules, sentAt, answer } = refused
  const statedMs = answer.retryAfterMs ?? statedReset(answer.windows ?? [])
  const now = monotonicMs(store.clock)
  const gate = readGate(store, rules.key)
  const isEcho = gate !== null && sentAt <= gate.shutAt
  if (isEcho && statedMs === null) return gate.opensAt
  const refusals = isEcho ? gate.refusals : (gate?.refusals ?? 0) + 1
  const waitMs = statedMs === null ? doubledWait(refused, refusals) : bounded(statedMs)
  const opensAt = Math.max(now + waitMs, gate?.opensAt ?? 0)
  const wall = Math.floor(store.clock.now())
  const shutAt = isEcho ? gate.shutAt : now
  store
    .sql(gateSet)
    .run(rules.key, refusals, store.clock.bootId, shutAt, opensAt, wall - (now - shutAt), wall + (opensAt - now))
  store.sql(refusedBegin).run(rules.key, wall)
  return opensAt
}

/** The source answered a request sent since the gate was shut: it is open again. */
export function openGate(store: Store, key: string, sentAt: number): void {
  const gate = readGate(store, key)
  if (gate === null || sentAt <= gate.shutAt) return
  store.sql(gateOpen).run(key)
  store.sql(refusedEnd).run(key)
}

/** Since when a key is refused without an answer between, Unix ms; null: it is not. */
export function refusedSince(store: Store, key: string): number | null {
  if (store.sql(hasRefusedTable).get() === undefined) return null
  const since = store.sql(refusedGet).pluck().get(key) as number | undefined
  return since === undefined ? null : Math.min(since, store.clock.now())
}

/** Brings what another boot shut to this boot's clock, so that a wall clock that was set back cannot keep it shut for ever. */
export function adoptGates(store: Store): void {
  const { clock } = store
  store.sql(gateAdopt).run({ boot: clock.bootId, mono: monotonicMs(clock), wall: Math.floor(clock.now()) })
}

/** The longest window that headers call used up: nothing is answered before it has room. */
function emptyWindow(windows: readonly ToldWindow[]): ToldWindow | null {
  const empty = windows.filter(({ remaining }) => remaining === 0)
  return empty.reduce<ToldWindow | null>(
    (longest, one) => (one.periodMs > (longest?.periodMs ?? 0) ? one : longest),
    null,
  )
}

/** When that window resets, as they say; null where they do not. */
function statedReset(windows: readonly ToldWindow[]): number | null {
  return emptyWindow(windows)?.resetMs ?? null
}

/**
 * For the length of the window that headers call used up, else of the shortest one: the least after which asking again makes sense. It doubles with each refusal
 * in a row. A little is added where the window is a guess, so that programs which were refused together do not come back together.
 */
function doubledWait(refused: Parameters<typeof shutGate>[1], refusals: number): number {
  const { rules, answer, jitter } = refused
  const empty = emptyWindow(answer.windows ?? [])?.periodMs
  const periods = [...rules.limits, ...(rules.headers ?? [])].map(({ periodMs }) => periodMs)
  const first = empty ?? (periods.length === 0 ? undeclaredWaitMs : Math.min(...periods))
  const waitMs = Math.min(first * 2 ** (refusals - 1), Math.max(first, longestDoubledMs))
  return Math.ceil(empty === undefined ? waitMs * (1 + jitter / 10) : waitMs)
}

function bounded(retryAfterMs: number): number {
  return Math.ceil(Math.min(Math.max(retryAfterMs, retryAfterBounds.least), retryAfterBounds.most))
}
