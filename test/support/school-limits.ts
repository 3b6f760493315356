/**
 * Does a school's limit hold, and is it used? Many short runs of the worker, as cron starts them, beside `verify` and beside a second workspace that shares the
 * budget's file; then the school's own audit is read. Knows no test runner: the benchmark uses it, too.
 */
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { AuditEntry } from '../../src/simulators/audit.js'
import { busiestWindow, type TokenUse, tokenUses } from '../../src/simulators/school-42/audit.js'
import { openClient } from './open-client.js'
import { groupRepeats, type RepeatGroup } from './school-repeats.js'
import { openStage, restingStreams, type SchoolStage, type StageOptions, type WorkerDocument } from './school-stage.js'
import { createSchoolTables, makeSchoolWorkspace, type SchoolWorkspace } from './school-workspace.js'

export interface LimitsOptions {
  readonly database: StageOptions['database']
  /** Of the second workspace. */
  readonly second: StageOptions['database']
  readonly users: number
  readonly secondly: number
  readonly longMs: number
  readonly long: number
  /** `--max-runtime` of each run, ms. */
  readonly runMs: number
  /** Life of a token, seconds. */
  readonly tokenLifeS: number
  /** A 429 although the limits are kept, every so many requests; null: none. */
  readonly spuriousEvery: number | null
  /** No new run is started so long after the first one began, ms. */
  readonly atMostMs: number
}
export interface LimitsFigures {
  readonly requests: number
  readonly seconds: number
  readonly runs: number
  readonly verifies: number
  readonly busiestSecond: number
  readonly busiestLong: number
  /** Share of (limit − reserve) of the long window that was used while work was due; what verify asks may be taken from the reserve, so that it may be more than 1. */
  readonly used: number
  readonly refusals: number
  /** 429s that nobody switched on. */
  readonly overLimit: number
  readonly attemptsByRefusal: number
  /** Requests of `verify` (as it says) and of the second workspace, which both ask what the first workspace's walks asked. */
  readonly byVerify: number
  readonly bySecond: number
  readonly repeats: readonly RepeatGroup[]
  readonly tokens: readonly TokenUse[]
  readonly status: string
}
const reserve = 0.05
/** Tells the second workspace's requests from the first one's. */
const secondPageSize = 50

export async function playLimits(options: LimitsOptions): Promise<LimitsFigures> {
  const { secondly, long, longMs } = options
  const budget = budgetOf(options)
  const stage = await openStage({
    database: options.database,
    school: {
      size: { users: options.users },
      switches: {
        secondly: { requests: secondly, periodMs: 1000 },
        hourly: { requests: long, periodMs: longMs },
        latencyMs: { least: 5, most: 60 },
        tokenLifeS: options.tokenLifeS,
        spurious429: options.spuriousEvery === null ? null : { every: options.spuriousEvery, window: 'secondly' },
      },
    },
    settings: {},
  })
  const file = join(stage.workspace.directory, 'shared-budget.db')
  const settings = { budget: { ...budget, file }, retry_delay: '50ms', backoff: '100ms', streams: restingStreams }
  stage.workspace.configure(settings)
  const second = await openSecond(options.second, stage.school.url, { ...settings, page_size: secondPageSize })
  try {
    return await play(stage, second.workspace, options)
  } finally {
    await second.close()
    await stage.close()
  }
}

interface Verify {
  readonly from: number
  to: number
  requests: number
}

function noteEnd(verify: Verify, stdout: string): void {
  verify.to = Date.now()
  if (stdout !== '') verify.requests = (JSON.parse(stdout) as { requests: number }).requests
}

async function play(stage: SchoolStage, second: SchoolWorkspace, options: LimitsOptions): Promise<LimitsFigures> {
  await stage.seed()
  const few = ['campuses', 'cursus', 'projects', 'coalitions', 'achievements', 'project_sessions']
  await second.run('seed', ...few.map((name) => `school42.${name}`))
  const beside: Promise<unknown>[] = []
  const runs: WorkerDocument[] = []
  const verifies: Verify[] = []
  const ends: number[] = []
  let status = ''
  let dueUntil = 0
  const startedAt = Date.now()
  const runtime = `--max-runtime=${options.runMs}ms`
  while (Date.now() - startedAt < options.atMostMs) {
    if (runs.length % 3 === 0) beside.push(second.run('worker', runtime))
    if (runs.length % 4 === 1) {
      const verify: Verify = { from: Date.now(), to: Number.POSITIVE_INFINITY, requests: 0 }
      verifies.push(verify)
      beside.push(stage.workspace.run('verify', 'school42', '--json').then(({ stdout }) => noteEnd(verify, stdout)))
    }
    const run = await stage.work(runtime)
    runs.push(run)
    ends.push(Date.now())
    if (runs.length === 2) status = (await stage.workspace.run('status')).stdout
    // Tasks that the budget put off are due again at a moment: only where there is none, nothing is left.
    if (run.end === 'empty' || (run.end === 'nothing_due' && run.next_due_at === null)) break
    dueUntil = Date.now()
  }
  await Promise.all(beside)
  const entries = await stage.school.audit()
  return {
    ...figures(entries, {
      ...options,
      dueUntil,
      verifies,
      ends,
      byVerify: verifies.reduce((sum, { requests }) => sum + requests, 0),
    }),
    runs: runs.length,
    verifies: verifies.length,
    status,
    attemptsByRefusal: spentAttempts(stage, runs),
  }
}

function figures(
  entries: readonly AuditEntry[],
  options: LimitsOptions & {
    readonly dueUntil: number
    readonly verifies: readonly Verify[]
    readonly ends: readonly number[]
    readonly byVerify: number
  },
): Omit<LimitsFigures, 'runs' | 'verifies' | 'status' | 'attemptsByRefusal'> {
  const { longMs, long, dueUntil } = options
  const refused = entries.filter(({ status }) => status === 429)
  const from = (entries[0]?.answeredAt ?? 0) - 1
  const windows = Math.floor((dueUntil - from) / longMs)
  const inside = entries.filter(({ answeredAt }) => answeredAt > from && answeredAt <= from + windows * longMs).length
  return {
    requests: entries.length,
    seconds: ((entries.at(-1)?.answeredAt ?? 0) - from) / 1000,
    busiestSecond: busiestWindow(entries, 1000).most,
    busiestLong: busiestWindow(entries, longMs).most,
    used: windows === 0 ? Number.NaN : inside / (Math.floor(long * (1 - reserve)) * windows),
    refusals: refused.length,
    byVerify: options.byVerify,
    bySecond: entries.filter(({ path }) => path.includes(`per_page=${secondPageSize}&`)).length,
    overLimit: refused.filter(({ labels }) => labels.trap === undefined).length,
    repeats: groupRepeats(entries, { kills: [], rounds: [], verifies: options.verifies, ends: options.ends }),
    tokens: tokenUses(entries),
  }
}

/** Attempts beyond the first that any task has spent, and tasks that were put back for a failure: both must be none where 429s are all that went wrong. */
function spentAttempts(stage: SchoolStage, runs: readonly WorkerDocument[]): number {
  const queue = new Sqlite(join(stage.workspace.directory, 'queue.db'), { readonly: true })
  try {
    const spent = queue.prepare('select coalesce(sum(max(attempts - 1, 0)), 0) as spent from task').get() as {
      spent: number
    }
    return spent.spent + runs.reduce((sum, run) => sum + run.retrying + run.died.length, 0)
  } finally {
    queue.close()
  }
}

function budgetOf({ secondly, long, longMs }: LimitsOptions): Readonly<Record<string, unknown>> {
  const window = `${longMs / 1000}s`
  return {
    limits: [`${secondly}/s`, `${long}/${window}`],
    headers: { second: 'x-secondly-ratelimit-*', [window]: 'x-hourly-ratelimit-*' },
    reserve: `${reserve * 100}%`,
    delay: '0s',
    concurrency: 8,
  }
}

async function openSecond(
  database: StageOptions['database'],
  schoolUrl: string,
  settings: Readonly<Record<string, unknown>>,
): Promise<{ readonly workspace: SchoolWorkspace; close(): Promise<void> }> {
  const client = await openClient(database.config)
  await createSchoolTables(client)
  await client.end()
  const workspace = makeSchoolWorkspace({ schoolUrl, databaseUrl: database.url, settings })
  return { workspace, close: async () => workspace.remove() }
}
