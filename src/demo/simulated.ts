/**
 * The service that the demo copies from: a simulated civic.band on loopback, in this process, with invented pages of three municipalities. The same seed
 * gives the same rows in every run; nothing of it survives the process.
 */
import { TemporaryFailure } from '../domain/errors.js'
import { type CivicBand, startCivicBand } from '../simulators/civic-band/civic-band.js'

/** A few thousand rows: some fifty pages of 100, five seconds at the demo's pace. */
const sites = {
  'alameda.ca': { agendas: 430, minutes: 640 },
  'berkeley.ca': { agendas: 560, minutes: 830, malformedDates: 1 },
  'oakland.ca': { agendas: 910, minutes: 1270 },
} as const

export const subdomains: readonly string[] = Object.keys(sites)

/**
 * Starts it on the port of the last run, or on another one where that is taken.
 * @throws TemporaryFailure where the demo of the same directory is running already.
 */
export async function startSimulated(directory: string, remembered: number | null): Promise<CivicBand> {
  const identity = { directory }
  // The same limit as in the demo's backfill.yaml: the service refuses what the client should not have sent.
  const switches = { limit: { requests: 10, periodMs: 1000 } }
  try {
    return await startCivicBand({ port: remembered ?? 0, sites, switches, identity })
  } catch (error) {
    if (remembered === null || !isPortTaken(error)) throw error
  }
  await refuseSecondDemo(directory, remembered)
  return startCivicBand({ port: 0, sites, switches, identity })
}

// Another port under the feet of a running demo would start its walks over: better not to start.
async function refuseSecondDemo(directory: string, port: number): Promise<void> {
  const holder = await identityAt(port)
  if (holder?.directory !== directory) return
  throw new TemporaryFailure(
    'demo_running',
    `start the demo in "${directory}" found it running already, as process ${holder.pid}`,
    {
      hint: 'wait for it to end, or choose another folder with --directory',
    },
  )
}

interface Identity {
  readonly directory?: string
  readonly pid: number
}

async function identityAt(port: number): Promise<Identity | null> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/-/simulator`, { signal: AbortSignal.timeout(1000) })
    return (await answer.json()) as Identity
  } catch {
    return null
  }
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')
}
