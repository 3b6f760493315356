/**
 * A simulated School 42 in a process of its own, so that its work is not the worker's: started from the build, ended with whoever started it. Speaks to it by its
 * private control (src/simulators/school-42/control.ts) alone.
 */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import type { AuditEntry } from '../../src/simulators/audit.js'
import type { FaultRule } from '../../src/simulators/faults.js'
import type { LeastRequests } from '../../src/simulators/school-42/audit.js'
import type { ChangeEntry } from '../../src/simulators/school-42/churn.js'
import type {
  Mutation,
  School42Options,
  School42Switches,
  SchoolRows,
  SchoolTable,
} from '../../src/simulators/school-42/school-42.js'

const script = join(resolve(import.meta.dirname, '../..'), 'dist/src/simulators/school-42/serve.js')

export type Truth = { readonly [Name in SchoolTable]: readonly SchoolRows[Name][] }
export interface SchoolProcess {
  readonly url: string
  audit(after?: number): Promise<readonly AuditEntry[]>
  set(switches: Partial<School42Switches>): Promise<void>
  setFaults(rules: readonly FaultRule[]): Promise<void>
  /** All tables as they are now. */
  truth(): Promise<Truth>
  mutate(...mutations: readonly Mutation[]): Promise<void>
  churn(steps: number): Promise<void>
  freeze(): Promise<void>
  thaw(): Promise<void>
  revokeTokens(): Promise<void>
  changes(): Promise<readonly ChangeEntry[]>
  least(): Promise<LeastRequests>
  stop(): Promise<void>
}

/** Starts it. @throws where it does not say where it listens. */
export async function startSchoolProcess(
  options: School42Options & { readonly allTraps?: boolean },
): Promise<SchoolProcess> {
  const argument = JSON.stringify({ ...options, untilInputEnds: true })
  const child = spawn(process.execPath, [script, argument], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolveEnd) => child.once('close', () => resolveEnd()))
  const { url } = JSON.parse(await firstLine(child)) as { readonly url: string }
  const get = async <Value>(path: string): Promise<Value> => (await asked(url, path)) as Value
  const send = async (method: string, path: string, body?: unknown): Promise<void> => {
    await asked(url, path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  }
  return {
    url,
    audit: async (after = 0) => (await get<{ readonly entries: AuditEntry[] }>(`/-/audit?after=${after}`)).entries,
    set: (switches) => send('PUT', '/-/switches', switches),
    setFaults: (rules) => send('PUT', '/-/faults', rules),
    truth: () => get('/-/truth'),
    mutate: (...mutations) => send('POST', '/-/mutate', mutations),
    churn: (steps) => send('POST', `/-/churn?steps=${steps}`),
    freeze: () => send('POST', '/-/freeze'),
    thaw: () => send('POST', '/-/thaw'),
    revokeTokens: () => send('POST', '/-/revoke'),
    changes: () => get('/-/changes'),
    least: () => get('/-/least'),
    stop: async () => {
      child.stdin.end()
      await ended
    },
  }
}

async function firstLine(child: ReturnType<typeof spawn>): Promise<string> {
  return await new Promise<string>((resolveLine, reject) => {
    let text = ''
    child.once('close', () => reject(new Error('the simulated school ended before it said where it listens')))
    child.stdout?.on('data', (some: Buffer) => {
      text += some.toString()
      if (text.includes('\n')) resolveLine(text.slice(0, text.indexOf('\n')))
    })
  })
}

async function asked(url: string, path: string, init: RequestInit = {}): Promise<unknown> {
  const answer = await fetch(`${url}${path}`, init)
  if (!answer.ok)
    throw new Error(`${init.method ?? 'GET'} ${path} was answered with ${answer.status}: ${await answer.text()}`)
  return await answer.json()
}
