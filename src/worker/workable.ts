/** Which streams of a run may be worked on now, and when the others may: pauses and parkings taken together. Pure. */
import { type ControlState, controlLabel, gateOf, gateOpensAt } from '../domain/controls.js'
import type { SelectedStream } from '../domain/selection.js'

/** Those that nothing holds back. */
export function workableStreams(
  streams: readonly SelectedStream[],
  state: ControlState,
  now: number,
): readonly SelectedStream[] {
  return streams.filter(({ source, stream }) => {
    const { kind } = gateOf(state, { source: source.name, stream: stream.name }, now)
    return kind === 'open' || kind === 'probe'
  })
}

/** When a stream may be worked on, as far as nobody resumes it: Unix ms, 0 for at once; null: never by itself. */
export function workableAt({ source, stream }: SelectedStream, state: ControlState, now: number): number | null {
  return gateOpensAt(gateOf(state, { source: source.name, stream: stream.name }, now))
}

/** `acme is parked until …, beta.users is paused`; empty where nothing is held back. */
export function heldBackText(state: ControlState, now: number): string {
  const until = (at: number): string => `until ${new Date(at).toISOString()}`
  const parked = state.parkings.filter((one) => one.until > now)
  return [
    ...parked.map((one) => `${one.source} is parked ${until(one.until)}`),
    ...state.pauses.map((one) => `${controlLabel(one)} is paused${one.until === null ? '' : ` ${until(one.until)}`}`),
  ].join(', ')
}
