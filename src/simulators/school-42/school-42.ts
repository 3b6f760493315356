/**
 * A simulated School 42 on loopback: real HTTP, invented people, and traps 1 to 12 of wire/traps.md as switches and as oddities of the data. It speaks as
 * wire/school42.md describes. Nothing survives the process.
 */
import type { FaultRule } from '../faults.js'
import { type Simulator, startSimulator } from '../simulator.js'
import type { ChangeEntry } from './churn.js'
import { control, type Mutation, mutate, truthOf } from './control.js'
import type { School, SchoolRows, SchoolTable } from './school.js'
import { School42Service } from './service.js'
import { defaultSize, type Oddities, type SchoolSize } from './size.js'
import { defaultSwitches, type School42Switches } from './switches.js'
import { type Application, syntheticApplication } from './tokens.js'

export type { ChangeKind } from './changes.js'
export type { Mutation } from './control.js'
export type { SchoolRows, SchoolTable } from './school.js'
export { defaultSize, noOddities } from './size.js'
export { allTraps, type School42Switches } from './switches.js'
export { syntheticApplication } from './tokens.js'

export interface School42Options {
  /** 0 or absent: any free port. */
  readonly port?: number | undefined
  readonly size?: Partial<Omit<SchoolSize, 'oddities'>> | undefined
  readonly oddities?: Partial<Oddities> | undefined
  readonly switches?: Partial<School42Switches> | undefined
  readonly faults?: readonly FaultRule[] | undefined
  /** Those that may ask for a token: {@link syntheticApplication} by default. */
  readonly applications?: readonly Application[] | undefined
  /** Equal seeds give equal rows. */
  readonly seed?: string | undefined
  readonly identity?: Readonly<Record<string, string | number>> | undefined
}

export interface School42 extends Simulator<School42Switches> {
  /** For the helpers of `audit.ts`. */
  readonly school: School
  /** What a table holds now, by id: the truth that a destination is compared with. Linkers come without an id. */
  truth<Name extends SchoolTable>(table: Name, rows?: 'all' | 'of known users'): readonly SchoolRows[Name][]
  /** @throws RangeError for a table, row or kind that is not there. */
  mutate(...mutations: readonly Mutation[]): void
  /** Changes by the rules of the switch `churn`, or the usual ones. */
  churn(steps: number): void
  freeze(): void
  thaw(): void
  changes(after?: number): readonly ChangeEntry[]
  /** Every token that lives now is refused from the next request on. */
  revokeTokens(): void
}

/** Starts it. @throws the socket's own error (`EADDRINUSE`) where the port is taken. */
export async function startSchool42(options: School42Options = {}): Promise<School42> {
  const size = { ...defaultSize, ...options.size, oddities: { ...defaultSize.oddities, ...options.oddities } }
  const applications = options.applications ?? [syntheticApplication]
  const service = new School42Service({ size, seed: options.seed ?? 'school-42', applications })
  const simulator: Simulator<School42Switches> = await startSimulator<School42Switches>({
    name: 'school-42',
    port: options.port,
    faults: options.faults,
    identity: options.identity,
    switches: { ...defaultSwitches, ...options.switches },
    answer: (request, switches, at) => service.answer(request, switches, at),
    delayMs: (request, switches) => service.delayMs(request, switches),
    control: (request) => control(request, service, simulator.switches()),
  })
  const rules = () => simulator.switches().churn
  return {
    ...simulator,
    school: service.school,
    truth: (table, rows = 'all') => {
      service.churn.catchUp(rules(), Date.now())
      return truthOf(service.school, table, rows)
    },
    mutate: (...mutations) => {
      for (const mutation of mutations) mutate(service, mutation, Date.now())
    },
    churn: (steps) => service.churn.step(steps, rules(), Date.now()),
    freeze: () => {
      service.churn.catchUp(rules(), Date.now())
      service.churn.freeze()
    },
    thaw: () => service.churn.thaw(),
    changes: (after) => service.churn.changes(after),
    revokeTokens: () => service.tokens.revokeAll(),
  }
}
