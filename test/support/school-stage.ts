/**
 * The whole play: a simulated school in a process of its own, a workspace whose cron is the caller, the replaced scripts' tables in a real Postgres. What is asked of
 * it is asked of the built binary. The caller brings an empty database. Knows no test runner: the benchmark uses it, too.
 */
import type pg from 'pg'
import type { AuditEntry } from '../../src/simulators/audit.js'
import type { School42Options } from '../../src/simulators/school-42/school-42.js'
import school42 from '../../src/sources/school42.js'
import { openClient } from './open-client.js'
import { type SchoolProcess, startSchoolProcess } from './school-process.js'
import { allDifferences, type Differences } from './school-truth.js'
import {
  createSchoolTables,
  makeSchoolWorkspace,
  type SchoolSettings,
  type SchoolWorkspace,
} from './school-workspace.js'

export interface StageOptions {
  readonly database: { readonly config: pg.ClientConfig; readonly url: string }
  readonly school: School42Options & { readonly allTraps?: boolean }
  readonly settings: SchoolSettings
}
/** What `worker --json` says, as far as it is used here. */
export interface WorkerDocument {
  readonly end: string
  readonly reason: string
  readonly requests: number
  readonly rows: number
  readonly done: number
  readonly retrying: number
  readonly put_back: number
  readonly died: readonly { readonly stream: string; readonly code: string; readonly message: string }[]
  readonly refused: readonly { readonly message: string }[]
  readonly parked: readonly { readonly message: string }[]
  readonly failure: { readonly message: string } | null
  readonly next_due_at: string | null
  readonly exit_code: number
}
export interface SchoolStage {
  readonly school: SchoolProcess
  readonly workspace: SchoolWorkspace
  readonly client: pg.Client
  /** @throws where it ends otherwise than well. */
  seed(...args: readonly string[]): Promise<void>
  /** One run, as cron starts it. */
  work(...args: readonly string[]): Promise<WorkerDocument>
  /** Runs until nothing is due any more, at most so many. */
  settle(atMost?: number): Promise<readonly WorkerDocument[]>
  /** Tables that are not the truth. */
  differences(): Promise<Readonly<Record<string, Differences>>>
  query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>
  close(): Promise<void>
}

export async function openStage(options: StageOptions): Promise<SchoolStage> {
  const client = await openClient(options.database.config)
  await createSchoolTables(client)
  const school = await startSchoolProcess(options.school)
  const workspace = makeSchoolWorkspace({
    schoolUrl: school.url,
    databaseUrl: options.database.url,
    settings: options.settings,
  })
  const work = async (...args: readonly string[]): Promise<WorkerDocument> => {
    const { stdout, stderr, code } = await workspace.run('worker', '--json', ...args)
    if (stdout === '') throw new Error(`worker ended with ${String(code)} and said only: ${stderr}`)
    return JSON.parse(stdout) as WorkerDocument
  }
  return {
    school,
    workspace,
    client,
    work,
    seed: async (...args) => {
      const { code, stdout, stderr } = await workspace.run('seed', 'school42', ...args)
      if (code !== 0) throw new Error(`seed ended with ${String(code)}: ${stdout}${stderr}`)
    },
    settle: async (atMost = 20) => {
      const runs: WorkerDocument[] = []
      while (runs.length < atMost) {
        // Also what waits between two attempts.
        const run = await work('--until-empty')
        runs.push(run)
        if (run.requests === 0 && run.done === 0 && run.retrying === 0) break
      }
      return runs
    },
    differences: async () => await allDifferences(client, await school.truth()),
    query: async <Row extends pg.QueryResultRow>(sql: string) => (await client.query<Row>(sql)).rows,
    close: async () => {
      await client.end()
      await school.stop()
      workspace.remove()
    },
  }
}

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const msOf = (text: string): number => {
  const [, number = '0', unit = 's'] = /^(\d+)([smhd])$/.exec(text) ?? []
  return Number(number) * (units[unit] ?? 0)
}

/**
 * The source's own rhythms and overlaps, so many times faster, as `streams` of backfill.yaml; full walks are begun by hand. What the definition says is what is shortened: five
 * minutes of cron are five minutes divided by `times`.
 */
export function fasterStreams(times: number): Readonly<Record<string, object>> {
  const fast = (text: string) => `${Math.max(1000, Math.round(msOf(text) / times))}ms`
  const streams = Object.entries(school42.streams ?? {}).map(([name, stream]) => {
    const { every, incremental } = stream as { every?: string; incremental?: { overlap?: string } }
    const changes = incremental === undefined ? {} : { overlap: fast(incremental.overlap ?? '0s'), full_walk: 'never' }
    return [name, { ...(every === undefined ? {} : { every: fast(every) }), ...changes }]
  })
  return Object.fromEntries(streams) as Record<string, object>
}

/** Nothing comes round by itself for so long that no test sees it. */
export const restingStreams: Readonly<Record<string, object>> = Object.fromEntries(
  Object.keys(school42.streams ?? {}).map((name) => [name, { every: '30d' }]),
)

/** Requests by route and answer, for what is printed: `200 /v2/users?filter[id]`. */
export function requestsByShape(entries: readonly AuditEntry[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { status, path } of entries) {
    const shape = `${status} ${decodeURIComponent(path)
      .replace(/=[^&]*/g, '')
      .replace(/\/\d+/g, '/:id')}`
    counts[shape] = (counts[shape] ?? 0) + 1
  }
  return counts
}
