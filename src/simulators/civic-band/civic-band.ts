/**
 * A simulated civic.band on loopback: real HTTP, invented rows, and the traps of wire/traps.md as switches. Sites answer by Host header
 * (`oakland.ca.civic.band`) or, on a loopback address, by the first part of the path (`/oakland.ca/meetings/minutes.json`). Nothing survives the process.
 */
import type { FaultRule } from '../faults.js'
import { type Simulator, type SimulatorAnswer, type SimulatorRequest, startSimulator } from '../simulator.js'
import { AccessWindows, admit, challenge, unknownSite } from './access.js'
import { datasetteAnswer } from './datasette.js'
import type { MeetingPage, SiteSize, TableName } from './pages.js'
import { Site } from './site.js'
import { type CivicBandSwitches, defaultSwitches, type Interrupt, type Rebuild } from './switches.js'

export type { MeetingPage, SiteSize, TableName } from './pages.js'
export type { CivicBandSwitches, Rebuild } from './switches.js'

export interface CivicBandOptions {
  /** 0 or absent: any free port. */
  readonly port?: number | undefined
  /** Subdomain to size. */
  readonly sites: Readonly<Record<string, SiteSize>>
  readonly switches?: Partial<CivicBandSwitches> | undefined
  readonly faults?: readonly FaultRule[] | undefined
  /** Equal seeds give equal rows. */
  readonly seed?: string | undefined
  readonly identity?: Readonly<Record<string, string | number>> | undefined
}

export interface CivicBand extends Simulator<CivicBandSwitches> {
  /** What the site holds now, by id: the truth that a destination is compared with. @throws RangeError for an unknown site. */
  rows(subdomain: string, table: TableName): readonly MeetingPage[]
  /** Deletes and rebuilds a site's database at once. @throws RangeError for an unknown site. */
  rebuild(subdomain: string, change: Partial<Rebuild>): void
}

/** Starts it. @throws the socket's own error (`EADDRINUSE`) where the port is taken. */
export async function startCivicBand(options: CivicBandOptions): Promise<CivicBand> {
  const service = new CivicBandService(options)
  const simulator = await startSimulator<CivicBandSwitches>({
    name: 'civic-band',
    port: options.port,
    faults: options.faults,
    identity: options.identity,
    switches: { ...defaultSwitches, ...options.switches },
    answer: (request, switches) => service.answer(request, switches),
  })
  return {
    ...simulator,
    rows: (subdomain, table) => service.site(subdomain).rows(table),
    rebuild: (subdomain, change) => service.site(subdomain).rebuild({ ...noChange, ...change }),
    close: async () => {
      await simulator.close()
      service.close()
    },
  }
}

const noChange: Rebuild = { changed: 0, added: 0, removed: 0, extracted: false }
const loopback = ['127.0.0.1', 'localhost', '[::1]']

class CivicBandService {
  readonly #sites: ReadonlyMap<string, Site>
  readonly #windows = new AccessWindows()
  /** Queries interrupted per setting of the switch: a new object counts anew. */
  readonly #interrupted = new WeakMap<Interrupt, number>()

  constructor(options: CivicBandOptions) {
    const seed = options.seed ?? 'civic-band'
    this.#sites = new Map(Object.entries(options.sites).map(([name, size]) => [name, new Site(name, size, seed)]))
  }

  site(subdomain: string): Site {
    const site = this.#sites.get(subdomain)
    if (site === undefined) throw new RangeError(`the simulator has no site "${subdomain}"`)
    return site
  }

  close(): void {
    for (const site of this.#sites.values()) site.close()
  }

  answer(request: SimulatorRequest, switches: CivicBandSwitches): SimulatorAnswer {
    const challenged = challenge(request, switches)
    if (challenged !== null) return challenged
    const target = targetOf(request)
    const site = this.#sites.get(target.subdomain)
    if (site === undefined) return unknownSite()
    const params = admit(request, target, { switches, windows: this.#windows })
    if (!(params instanceof URLSearchParams)) return params
    rebuildWhenDue(site, switches)
    const isInterrupted = (query: 'table' | 'sql', size: number) => this.#interrupts(switches.interrupt, query, size)
    return datasetteAnswer({ site, path: target.path, base: target.base, params, switches, isInterrupted })
  }

  #interrupts(rule: Interrupt | null, query: 'table' | 'sql', size: number): boolean {
    if (rule?.target !== query) return false
    if (query === 'table' && size <= rule.aboveSize) return false
    const seen = this.#interrupted.get(rule) ?? 0
    if (rule.times !== null && seen >= rule.times) return false
    this.#interrupted.set(rule, seen + 1)
    return true
  }
}

function rebuildWhenDue(site: Site, switches: CivicBandSwitches): void {
  const { rebuild } = switches
  if (rebuild === null || site.builds > 1 || site.servedPages < rebuild.afterPages) return
  site.rebuild(rebuild)
}

interface Target {
  readonly subdomain: string
  readonly path: string
  readonly base: string
}

function targetOf(request: SimulatorRequest): Target {
  const { url, host } = request
  const origin = `${url.protocol}//${url.host}`
  if (!loopback.includes(host))
    return { subdomain: host.replace(/\.civic\.band$/, ''), path: url.pathname, base: origin }
  const [, subdomain = '', ...rest] = url.pathname.split('/')
  return { subdomain: decodeURIComponent(subdomain), path: `/${rest.join('/')}`, base: `${origin}/${subdomain}` }
}
