/** Colours and the size of the terminal. Honours NO_COLOR, TERM=dumb and FORCE_COLOR; without a terminal there are no colours. */
import { Chalk, type ChalkInstance } from 'chalk'

export type Ink = ChalkInstance

interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
}

/** The colours for a stream: none where nobody looks at it, or NO_COLOR is set to anything. */
export function inkFor(screen: Screen, environment: NodeJS.ProcessEnv = process.env): Ink {
  const isRefused = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb'
  const isForced = (environment.FORCE_COLOR ?? '0') !== '0'
  const hasColor = !isRefused && (screen.isTTY === true || isForced)
  return new Chalk({ level: hasColor ? 1 : 0 })
}

/** Width to draw for: the terminal's, 80 where there is none; neither under 60 nor over 140, where lines get hard to follow. */
export function columnsOf(screen: Screen): number {
  const columns = screen.columns ?? Number(process.env.COLUMNS ?? 80)
  return Math.min(140, Math.max(60, Number.isFinite(columns) && columns > 0 ? columns : 80))
}
