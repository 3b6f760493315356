/**
 * A school's first full load, then a day's hour of changes in cron's cycles, then a last full walk of a school that stands still: is every table the truth? And the same
 * with the worker killed at random moments. Knows no test runner: the benchmark uses it, too.
 */
import type { LeastRequests } from '../../src/simulators/school-42/audit.js'
import { groupRepeats, type RepeatGroup } from './school-repeats.js'
import {
  fasterStreams,
  openStage,
  requestsByShape,
  restingStreams,
  type SchoolStage,
  type StageOptions,
  type WorkerDocument,
} from './school-stage.js'
import { filledTables } from './school-truth.js'

export interface ChurnOptions {
  readonly database: StageOptions['database']
  readonly users: number
  readonly cycles: number
  /** What five minutes are shortened to, ms. */
  readonly cycleMs: number
  /** Changes of the school in a cycle. */
  readonly changes: number
  readonly allTraps: boolean
  readonly kills: number
  /** 0 to below 1. */
  readonly random: () => number
}
export interface ChurnFigures {
  readonly rows: number
  readonly load: { readonly requests: number; readonly seconds: number; readonly least: LeastRequests }
  readonly churn: { readonly requests: number; readonly changes: number; readonly runs: number }
  readonly final: { readonly requests: number; readonly rounds: number }
  /** `table: rows lacking, rows surplus`; empty where all is true. */
  readonly differences: readonly string[]
  /** Workers that were killed after their first request, and those that had ended before they were. */
  readonly kills: { readonly atWork: number; readonly tooLate: number }
  /** Rows older than their watermark that were not in the table, over all looks. */
  readonly ahead: number
  readonly looks: number
  readonly died: readonly string[]
  readonly deltaRows: number
  readonly openTasks: number
  readonly prunedRows: number
  readonly repeats: readonly RepeatGroup[]
  readonly shapes: Readonly<Record<string, number>>
  readonly statuses: readonly string[]
}

const open = { limits: ['1000/s'], delay: '0s', concurrency: 4 }
/** Every trap at once would park the source: its failures are many, and all are meant. */
const patient = { retry_delay: '20ms', backoff: '50ms', attempts: 10, park: { after: 100 } }

export async function playChurn(options: ChurnOptions): Promise<ChurnFigures> {
  const stage = await openStage({
    database: options.database,
    school: {
      size: { users: options.users },
      allTraps: options.allTraps,
      switches: { secondly: null, hourly: null, ...(options.allTraps ? {} : { churn: null }) },
    },
    settings: { budget: open, ...patient, streams: fasterStreams(300_000 / options.cycleMs) },
  })
  try {
    return await new Play(stage, options).run()
  } finally {
    await stage.close()
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

class Play {
  readonly #stage: SchoolStage
  readonly #options: ChurnOptions
  readonly #killedAt: number[] = []
  readonly #rounds: number[] = []
  readonly #runs: WorkerDocument[] = []
  readonly #statuses: string[] = []
  #endedBefore = 0
  #ahead = 0
  #looks = 0

  constructor(stage: SchoolStage, options: ChurnOptions) {
    this.#stage = stage
    this.#options = options
  }

  async run(): Promise<ChurnFigures> {
    const { school } = this.#stage
    const { kills, cycles } = this.#options
    await this.#stage.seed()
    const startedAt = Date.now()
    await this.#kill(Math.ceil(kills / 2))
    await this.#work()
    const seconds = (Date.now() - startedAt) / 1000
    const least = await school.least()
    const loaded = (await school.audit()).length
    await this.#note()
    const before = (await school.changes()).length
    await this.#kill(Math.floor(kills / 2))
    const runs = this.#runs.length
    for (let cycle = 0; cycle < cycles; cycle += 1) await this.#cycle()
    await this.#note()
    await school.freeze()
    const churned = (await school.audit()).length
    const happened = (await school.changes()).length - before
    await this.#look()
    const rounds = await this.#finish()
    const entries = await school.audit()
    return {
      load: { requests: loaded, seconds, least },
      churn: { requests: churned - loaded, changes: happened, runs: this.#runs.length - runs },
      final: { requests: entries.length - churned, rounds },
      kills: { atWork: this.#killedAt.length, tooLate: this.#endedBefore },
      ahead: this.#ahead,
      looks: this.#looks,
      died: this.#runs.flatMap(({ died, refused, parked }) =>
        [...died, ...refused, ...parked].map(({ message }) => message),
      ),
      repeats: groupRepeats(entries, { kills: this.#killedAt, rounds: this.#rounds }),
      shapes: requestsByShape(entries),
      statuses: this.#statuses,
      ...(await this.#state()),
    }
  }

  /** So many changes, a few at a time, spread over the time; what the traps change by requests comes on top. Counted, not timed: a slow machine must not see more of them. */
  async #change(count: number, ms: number): Promise<void> {
    const few = 5
    for (let left = count; left > 0; left -= few) {
      await this.#stage.school.churn(Math.min(few, left))
      await pause((ms * few) / count)
    }
  }

  /** One start by cron, which lets the run go on into the next cycle, as cron would. */
  async #cycle(): Promise<void> {
    const { cycleMs, changes } = this.#options
    this.#rounds.push(Date.now())
    await Promise.all([this.#work('--max-runtime', `${cycleMs}ms`), this.#change(changes, cycleMs)])
    await this.#look()
  }

  async #work(...args: readonly string[]): Promise<void> {
    this.#runs.push(await this.#stage.work(...args))
  }

  async #note(): Promise<void> {
    this.#statuses.push((await this.#stage.workspace.run('status')).stdout)
  }

  /** Kills so many workers that live, at random moments after their first request. */
  async #kill(count: number): Promise<void> {
    const few = Math.ceil(this.#options.changes / 10)
    const until = this.#killedAt.length + count
    for (let tries = 0; this.#killedAt.length < until && tries < 3 * count; tries += 1) {
      const asked = (await this.#stage.school.audit()).length
      await this.#stage.school.churn(few)
      const { child, ended } = this.#stage.workspace.start('worker', '--json')
      const isOver = { now: false }
      void ended.then(() => (isOver.now = true))
      while (!isOver.now && (await this.#stage.school.audit(asked)).length === 0) await pause(20)
      await pause(this.#options.random() ** 2 * 1500)
      const killedAt = Date.now()
      child.kill('SIGKILL')
      if ((await ended).signal === 'SIGKILL') this.#killedAt.push(killedAt)
      else this.#endedBefore += 1
      await this.#look()
    }
  }

  /** Watermarks are promises: what changed before one must be in the table. */
  async #look(): Promise<void> {
    this.#looks += 1
    const marks = await this.#stage.query<{ campus: string; watermark: Date }>(
      `select partition::json ->> 'campus_id' as campus, watermark from backfill.watermark where stream = 'users' and watermark is not null`,
    )
    if (marks.length === 0) return
    const rows = await this.#stage.query<{ id: string; updated_at: Date }>('select id, updated_at from users')
    const held = new Map(rows.map((row) => [Number(row.id), row.updated_at.getTime()]))
    const truth = await this.#stage.school.truth()
    const byId = new Map(truth.users.map((user) => [user.id, Date.parse(user.updated_at)]))
    const watermarks = new Map(marks.map(({ campus, watermark }) => [Number(campus), watermark.getTime()]))
    for (const { campus_id, user_id, updated_at: joinedAt } of truth.campus_users) {
      const watermark = watermarks.get(campus_id)
      const updatedAt = byId.get(user_id)
      // Who moved here since is old by his own date and new by his membership's, which the window does not see.
      if (watermark === undefined || updatedAt === undefined || Math.max(updatedAt, Date.parse(joinedAt)) >= watermark)
        continue
      if ((held.get(user_id) ?? 0) < updatedAt) this.#ahead += 1
    }
  }

  /** Full walks of a school that stands still. What only a second walk confirms takes a second round. */
  async #finish(): Promise<number> {
    this.#stage.workspace.configure({ budget: open, ...patient, streams: restingStreams })
    for (const round of [1, 2, 3]) {
      this.#rounds.push(Date.now())
      await this.#stage.seed('--force')
      this.#runs.push(...(await this.#stage.settle()))
      if (Object.keys(await this.#stage.differences()).length === 0) return round
    }
    return 3
  }

  async #state(): Promise<Pick<ChurnFigures, 'rows' | 'differences' | 'deltaRows' | 'openTasks' | 'prunedRows'>> {
    const count = async (sql: string) => Number((await this.#stage.query<{ count: string }>(sql))[0]?.count ?? 0)
    const found = await this.#stage.differences()
    const tables = filledTables.map((name) => (name === 'projects_users' ? 'project_users' : name))
    let [rows, deltaRows] = [0, 0]
    for (const table of tables) {
      rows += await count(`select count(*) from "${table}"`)
      deltaRows += await count(`select count(*) from "delta_${table}"`)
    }
    const { stdout } = await this.#stage.workspace.run('status', '--json')
    const { streams } = JSON.parse(stdout) as { streams: { ready: number; leased: number; dead: number }[] }
    return {
      rows,
      deltaRows,
      differences: Object.entries(found).map(
        ([table, { lacking, surplus }]) => `${table}: ${lacking.length} lacking, ${surplus.length} surplus`,
      ),
      openTasks: streams.reduce((sum, { ready, leased, dead }) => sum + ready + leased + dead, 0),
      prunedRows: await count('select count(*) from backfill.pruned'),
    }
  }
}
