/**
 * Owns the rows of `parking` and `pause`: what holds sources back. Every call is one transaction; a kill leaves the state before or after it.
 * Must not know: who claims, or what a failure is.
 */
import {
  type ControlName,
  type ControlState,
  noControls,
  type Parking,
  type Pause,
  parkedForMs,
} from '../domain/controls.js'
import type { Controls, SourceFailure } from '../domain/ports.js'
import { adjustWaits } from './repair.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'

const hasControlTables = `select 1 from sqlite_schema where name = 'parking'`
const parkingAll = `
  select source, failures, code, message, hint, reason, times, parked_at as since, waits_until as until from parking order by source`
const pauseAll = `
  select source, nullif(stream, '') as stream, paused_at as since, ends_at as until, note from pause
  where ends_at is null or ends_at > ? order by source, stream`
const parkingOf = `
  select source, failures, code, message, hint, reason, times, parked_at as since, waits_since as waits, waits_until as until
  from parking where source = ?`
const parkingSet = `
  insert into parking (source, failures, failed_at, code, message, hint, reason, times, parked_at, waits_since, waits_until)
  values (@source, @failures, @now, @code, @message, @hint, @reason, @times, @since, @waits, @until)
  on conflict (source) do update set failures = excluded.failures, failed_at = excluded.failed_at, code = excluded.code, message = excluded.message,
    hint = excluded.hint, reason = excluded.reason, times = excluded.times, parked_at = excluded.parked_at,
    waits_since = excluded.waits_since, waits_until = excluded.waits_until`
const parkingEnd = `delete from parking where source = ?`
const pauseSet = `
  insert into pause (source, stream, paused_at, ends_at, note) values (?, ?, ?, ?, ?)
  on conflict (source, stream) do update set paused_at = excluded.paused_at, ends_at = excluded.ends_at, note = excluded.note`
const pauseEnd = `
  delete from pause where source = @source and (stream = @stream or @stream = '')
  returning source, nullif(stream, '') as stream, paused_at as since, ends_at as until, note`
const pauseOver = `delete from pause where ends_at <= ?`
/** The wall clock was set back: what began in the future began now, and lasts as long as it was to last. */
const parkingToNow = `
  update parking set waits_until = @now + (waits_until - waits_since), parked_at = min(parked_at, @now), waits_since = @now
  where waits_since > @now`
const pauseToNow = `update pause set ends_at = @now + (ends_at - paused_at), paused_at = @now where paused_at > @now`

/** Tasks that wait because their source was parked: a person who resumes it does not want to wait on. */
const parkedTasks = `
  select task.number, task.stream from task join stream s on s.number = task.stream
  where s.source = ? and task.state = 'ready' and task.ready_at is not null and task.ready_at >= ?`
const taskAtOnce = `update task set ready_at = null where number = ?`

type ParkingRow = Omit<Parking, 'reason' | 'since' | 'until'> & {
  readonly reason: Parking['reason'] | null
  readonly since: number | null
  /** When the present wait began; read where a failure is noted only. */
  readonly waits?: number | null
  readonly until: number | null
}

export interface ControlsContext {
  /** A transaction that changes tasks: their counters are written with them. */
  readonly change: <T>(action: (tally: Tally) => T) => T
}

export function createControls(store: Store, { change }: ControlsContext): Controls {
  /** A reader may meet a file from before controls: nothing is parked there. */
  function read(): ControlState {
    if (store.sql(hasControlTables).get() === undefined) return noControls
    const rows = store.sql(parkingAll).all() as ParkingRow[]
    const pauses = store.sql(pauseAll).all(store.clock.now()) as Pause[]
    const failures = Object.fromEntries(rows.map((row) => [row.source, row.failures]))
    return { parkings: rows.map(parkingIn).filter((one) => one !== null), pauses, failures }
  }

  function fail(source: string, failure: SourceFailure): { parking: Parking | null; isNew: boolean } {
    const row = store.sql(parkingOf).get(source) as ParkingRow | undefined
    const now = store.clock.now()
    const failures = (row?.failures ?? 0) + 1
    const parked = row === undefined ? null : parkingIn(row)
    // An answer to a request from before it was parked tells nothing new.
    const isEcho = parked !== null && parked.until > now
    const isParked = parked !== null || failures >= failure.rules.after
    const times = (parked?.times ?? 0) + (isParked && !isEcho ? 1 : 0)
    const until = isEcho ? parked.until : Math.max(now + parkedForMs(failure.rules, times), failure.notBefore ?? 0)
    const { code, message, hint } = failure
    store.sql(parkingSet).run({
      ...{ source, failures, now, code, message, hint, times },
      reason: isParked ? failure.reason : null,
      since: isParked ? (parked?.since ?? now) : null,
      waits: isEcho ? (row?.waits ?? now) : isParked ? now : null,
      until: isParked ? Math.ceil(until) : null,
    })
    const after = store.sql(parkingOf).get(source) as ParkingRow
    return { parking: parkingIn(after), isNew: parked === null && isParked }
  }

  function resume(names: readonly ControlName[], tally: Tally): { pauses: Pause[]; parkings: Parking[] } {
    store.sql(pauseOver).run(store.clock.now())
    const pauses: Pause[] = []
    const parkings: Parking[] = []
    for (const { source, stream } of names) {
      pauses.push(...(store.sql(pauseEnd).all({ source, stream: stream ?? '' }) as Pause[]))
      if (stream !== null) continue
      const row = store.sql(parkingOf).get(source) as ParkingRow | undefined
      const parking = row === undefined ? null : parkingIn(row)
      if (parking !== null) {
        parkings.push(parking)
        const tasks = store.sql(parkedTasks).all(source, parking.until) as { number: number; stream: number }[]
        for (const task of tasks) {
          store.sql(taskAtOnce).run(task.number)
          tally.makeDue(task.stream, 1)
        }
      }
      store.sql(parkingEnd).run(source)
    }
    return { pauses, parkings }
  }

  return {
    read: async () => store.read(read),
    pause: async (names, { until, note }) =>
      store.write(() => {
        const now = store.clock.now()
        store.sql(pauseOver).run(now)
        for (const { source, stream } of names) store.sql(pauseSet).run(source, stream ?? '', now, until, note)
        return names.map((name): Pause => ({ ...name, since: now, until, note }))
      }),
    resume: async (names) => change((tally) => resume(names, tally)),
    failed: async (source, failure) => store.write(() => fail(source, failure)),
    answered: async (source) => {
      if (store.read(() => store.sql(parkingOf).get(source)) === undefined) return
      store.write(() => store.sql(parkingEnd).run(source))
    },
    adjustToClock: async () =>
      store.write(() => {
        const now = { now: store.clock.now() }
        store.sql(parkingToNow).run(now)
        store.sql(pauseToNow).run(now)
        adjustWaits(store)
      }),
  }
}

function parkingIn(row: ParkingRow): Parking | null {
  const { source, failures, code, message, hint, times, reason, since, until } = row
  if (reason === null || since === null || until === null) return null
  return { source, reason, since, until, times, failures, code, message, hint }
}
