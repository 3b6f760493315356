/** Which streams of a run may be worked on now, and when the others may: pauses, parkings, hours of the day and caps of the run taken together. Pure. */
import { type ControlState, controlLabel, gateOf, gateOpensAt } from '../domain/controls.js'
import { isWithinHours, nextOpening } from '../domain/hours.js'
import type { SelectedStream } from '../domain/selection.js'

/** What holds streams back beside the budgets of their sources. */
export interface HoldBacks {
  readonly state: ControlState
  /** Unix ms. */
  readonly now: number
  /** Of the workspace: hours of the day are told in it. */
  readonly timezone: string
  /** `source.stream` of those that this run is done with, each with its reason; absent: none. */
  readonly capped?: ReadonlyMap<string, string>
}

/** Those that nothing holds back. */
export function workableStreams(streams: readonly SelectedStream[], holdBacks: HoldBacks): readonly SelectedStream[] {
  const { state, now, timezone, capped } = holdBacks
  return streams.filter(({ source, stream }) => {
    const { kind } = gateOf(state, { source: source.name, stream: stream.name }, now)
    const isOpen = kind === 'open' || kind === 'probe'
    const isCapped = capped?.has(`${source.name}.${stream.name}`) === true
    return isOpen && !isCapped && isWithinHours(stream.settings.hours, now, timezone)
  })
}

/** When a stream may be worked on, as far as nobody resumes it: Unix ms, 0 for at once; null: never by itself, or not in this run. */
export function workableAt({ source, stream }: SelectedStream, holdBacks: HoldBacks): number | null {
  const { state, now, timezone, capped } = holdBacks
  if (capped?.has(`${source.name}.${stream.name}`) === true) return null
  const opensAt = gateOpensAt(gateOf(state, { source: source.name, stream: stream.name }, now))
  if (opensAt === null || stream.settings.hours === undefined) return opensAt
  return nextOpening(stream.settings.hours, Math.max(opensAt, now), timezone)
}

/** `acme is parked until …, beta.users is paused, acme.walks opens at …`; empty where nothing is held back. */
export function heldBackText(holdBacks: HoldBacks, streams: readonly SelectedStream[] = []): string {
  const { state, now, timezone, capped } = holdBacks
  const until = (at: number): string => `until ${new Date(at).toISOString()}`
  const parked = state.parkings.filter((one) => one.until > now)
  const closed = streams.filter(({ stream }) => !isWithinHours(stream.settings.hours, now, timezone))
  return [
    ...parked.map((one) => `${one.source} is parked ${until(one.until)}`),
    ...state.pauses.map((one) => `${controlLabel(one)} is paused${one.until === null ? '' : ` ${until(one.until)}`}`),
    ...closed.map(({ source, stream }) => {
      const opensAt = new Date(nextOpening(stream.settings.hours, now, timezone)).toISOString()
      return `${source.name}.${stream.name} opens at ${opensAt}`
    }),
    ...[...(capped ?? [])].map(([name, reason]) => `${name} is capped (${reason})`),
  ].join(', ')
}
