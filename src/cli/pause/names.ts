/** `SOURCE[.STREAM]` as what may be paused: a source as a whole, or one stream of it. Pure. */
import type { ControlName, ControlState } from '../../domain/controls.js'
import { selectStreams } from '../../domain/selection.js'
import type { Workspace } from '../../domain/workspace-model.js'

/** @throws ConfigError for a source or stream that neither the workspace nor `state` knows. */
export function controlNames(
  workspace: Pick<Workspace, 'sources'>,
  words: readonly string[],
  state: ControlState | null = null,
): readonly ControlName[] {
  return [...new Set(words)].map((word) => {
    const name = readName(word)
    if (state === null || !isHeldBack(state, name)) selectStreams(workspace, [word])
    return name
  })
}

function readName(word: string): ControlName {
  const dot = word.indexOf('.')
  return dot === -1 ? { source: word, stream: null } : { source: word.slice(0, dot), stream: word.slice(dot + 1) }
}

/** What was paused may be resumed, although its definition is gone. */
function isHeldBack({ pauses, parkings }: ControlState, { source, stream }: ControlName): boolean {
  return (
    pauses.some((one) => one.source === source && (stream === null || one.stream === stream)) ||
    (stream === null && parkings.some((one) => one.source === source))
  )
}
