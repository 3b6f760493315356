// Owns what holds a source back beside its budget: parked by its own failures, or paused by hand. Pure: the state is read elsewhere.

/** When a source that fails is left alone, and for how long. */
export interface ParkRules {
  /** Failures in a row, without one answer between, after which it is parked. */
  readonly after: number
  /** How long at first, ms; it doubles while it goes on failing. */
  readonly firstMs: number
  readonly longestMs: number
  /** Refused by its budget for so long without one answer: parked, ms. */
  readonly refusedMs: number
}

/** A source that is left alone since it failed. Instants are Unix ms. */
export interface Parking {
  readonly source: string
  /**
   * `unavailable`: it did not answer, or not with an answer of its own. `refused`: it called itself over the limit all that time. `credentials`: it does not take
   * its credentials, and a person has to mend them.
   */
  readonly reason: 'unavailable' | 'refused' | 'credentials'
  readonly since: number
  /** From then on one task at a time asks whether it answers again. */
  readonly until: number
  /** Parked in a row without an answer between. */
  readonly times: number
  /** Failures in a row. */
  readonly failures: number
  /** Of the last failure. */
  readonly code: string
  readonly message: string
  readonly hint: string | null
}

/** What an operator stopped: a source, or one stream of it. */
export interface Pause {
  readonly source: string
  /** null: all streams of the source. */
  readonly stream: string | null
  readonly since: number
  /** null: until it is resumed. */
  readonly until: number | null
  readonly note: string | null
}

export interface ControlName {
  readonly source: string
  readonly stream: string | null
}

export interface ControlState {
  readonly parkings: readonly Parking[]
  /** Those that have not run out. */
  readonly pauses: readonly Pause[]
  /** Failures in a row of every source that failed last, parked or not. */
  readonly failures: Readonly<Record<string, number>>
}
export const noControls: ControlState = { parkings: [], pauses: [], failures: {} }

/** Whether tasks of a stream may be claimed. `probe`: one at a time, to see whether the source answers again. */
export type ControlGate =
  | { readonly kind: 'open' }
  | { readonly kind: 'probe'; readonly parking: Parking }
  | { readonly kind: 'parked'; readonly parking: Parking }
  | { readonly kind: 'paused'; readonly pause: Pause }

/** A pause comes before a parking: an operator's word holds until it is taken back. */
export function gateOf(
  state: ControlState,
  name: { readonly source: string; readonly stream: string },
  now: number,
): ControlGate {
  const pause = state.pauses.find(
    ({ source, stream, until }) =>
      source === name.source && (stream === null || stream === name.stream) && (until === null || until > now),
  )
  if (pause !== undefined) return { kind: 'paused', pause }
  const parking = state.parkings.find(({ source }) => source === name.source)
  if (parking === undefined) return { kind: 'open' }
  return { kind: parking.until > now ? 'parked' : 'probe', parking }
}

/** When a gate that is shut opens by itself: Unix ms, null where it never does; `now` or earlier where it is open. */
export function gateOpensAt(gate: ControlGate): number | null {
  switch (gate.kind) {
    case 'open':
    case 'probe':
      return 0
    case 'parked':
      return gate.parking.until
    case 'paused':
      return gate.pause.until
  }
}

/** How long a source is left alone when it is parked for the `times`-th time in a row, ms. */
export function parkedForMs(rules: Pick<ParkRules, 'firstMs' | 'longestMs'>, times: number): number {
  return Math.min(rules.firstMs * 2 ** Math.max(0, times - 1), Math.max(rules.firstMs, rules.longestMs))
}

/** `acme` or `acme.users`. */
export function controlLabel({ source, stream }: ControlName): string {
  return stream === null ? source : `${source}.${stream}`
}
