/**
 * Kills at moments that no message marks: while starting, migrating, claiming, waiting for the budget, decoding, settling, shutting down, and taking over the
 * lock. Each moment is brought about from outside (a lock that somebody else holds, a budget that is closed, an answer that takes long to read) and seen from
 * outside before the kill.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, it } from 'vitest'
import { migrate } from '../../src/queue/migrations.js'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, type Started, until } from '../support/cli-workspace.js'
import { openClient } from '../support/open-client.js'
import { pagedYaml } from '../support/paged-api.js'
import { seededBy } from './seeded.js'
import { startTableApi, type TableApi, thingsOf } from './table-api.js'

let api: TableApi
let workspace: CliWorkspace
const others: { end(): unknown }[] = []

async function setup(counts: Record<string, number>, budget = '{ delay: 0s }'): Promise<void> {
  api = await startTableApi(
    Object.fromEntries(Object.entries(counts).map(([site, count]) => [`/${site}/things`, thingsOf(site, count)])),
  )
  const yaml = pagedYaml(api.url, Object.keys(counts)).replace('{ delay: 0s }', budget)
  workspace = await makeWorkspace({ 'paged.yaml': yaml })
  expect(await workspace.run('seed', 'paged')).toMatchObject({ code: 0 })
}

afterEach(async () => {
  for (const other of others.splice(0)) await other.end()
  await workspace.close()
  await api.close()
})

async function kill(worker: Started, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  worker.child.kill(signal)
  await worker.ended
}

/** Somebody else's write transaction on queue.db; answers what ends it. */
function holdQueue(): () => void {
  const writer = new Sqlite(join(workspace.directory, 'queue.db'))
  writer.exec('begin immediate')
  const letGo = () => {
    if (writer.inTransaction) writer.exec('rollback')
    writer.close()
  }
  return letGo
}

/** Somebody else's lock on a table; answers what ends it. */
/** Nobody writes to the table until the answer is called; `exclusive`: others still read it. */
async function holdTable(
  table: string,
  mode: 'access exclusive' | 'exclusive' = 'access exclusive',
): Promise<() => Promise<void>> {
  const client = await openClient(workspace.database.config)
  others.push(client)
  await client.query(`begin; lock table ${table} in ${mode} mode`)
  return async () => {
    await client.query('rollback')
  }
}

/** Somebody of ours waits for a lock in the database. */
async function isWaitingForLock(): Promise<boolean> {
  const found = await workspace.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'backfill' and wait_event_type = 'Lock'`,
  )
  return found.length > 0
}

function tasksIn(state: string): number {
  const queue = new Sqlite(join(workspace.directory, 'queue.db'), { readonly: true })
  try {
    return queue.prepare('select count(*) from task where state = ?').pluck().get(state) as number
  } finally {
    queue.close()
  }
}

async function drainExactly(counts: Record<string, number>): Promise<void> {
  const ran = await workspace.run('worker', '--until-empty')
  expect(ran.code, ran.stderr).toBe(0)
  await expectExactlyOnce(workspace, counts)
}

describe('a worker killed', { timeout: 90_000 }, () => {
  it('while it starts, at any millisecond', async () => {
    await setup({ a: 25, b: 12 })
    const chance = seededBy('FIRE_SEED', 'kills while starting')
    for (let kills = 0; kills < 8; kills += 1) {
      const worker = workspace.start('worker')
      await new Promise((resolve) => setTimeout(resolve, chance.below(900)))
      await kill(worker)
    }
    await drainExactly({ a: 25, b: 12 })
  })

  it('before and after it migrates queue.db', async () => {
    await setup({ a: 12 })
    const file = join(workspace.directory, 'queue.db')
    const current = versionOf(file)
    makeOlder(file)
    expect(versionOf(file)).toBe(1)
    const letGo = holdQueue()
    const waiting = workspace.start('worker')
    await until(() => existsSync(join(workspace.directory, '.backfill/worker.json')))
    await kill(waiting)
    letGo()
    expect(versionOf(file)).toBe(1)

    const migrating = workspace.start('worker')
    await until(() => versionOf(file) === current)
    await kill(migrating)
    await drainExactly({ a: 12 })
  })

  it('while it claims, with the lease in queue.db and not yet in the ledger', async () => {
    await setup({ a: 12, b: 12 })
    expect(await workspace.run('worker', '--site', 'a')).toMatchObject({ code: 0 })
    const letGo = await holdTable('backfill.ledger', 'exclusive')
    const worker = workspace.start('worker')
    await until(async () => tasksIn('leased') === 1 && (await isWaitingForLock()))
    await kill(worker)
    await letGo()
    expect(tasksIn('leased')).toBe(1)
    await drainExactly({ a: 12, b: 12 })
  })

  it('while it waits for the budget: what was promoted is not asked for again, what was booked still counts', async () => {
    await setup({ a: 25 }, '{ limits: [2/3s] }')
    const sent: number[] = []
    api.before = () => {
      sent.push(performance.now())
    }
    const worker = workspace.start('worker')
    await until(async () => (await promotedPages()) === 2)
    await kill(worker)
    expect(api.requests.map(({ page }) => page)).toEqual([1, 2])
    await drainExactly({ a: 25 })
    expect(api.requests.map(({ page }) => page)).toEqual([1, 2, 3])
    expect((sent[2] ?? 0) - (sent[0] ?? 0)).toBeGreaterThanOrEqual(3000)
  })

  it('while it decodes a large answer', async () => {
    await setup({ a: 9 })
    const chance = seededBy('FIRE_SEED', 'kills while decoding')
    // Blanks before the rows: what is read takes long, what it says stays the same.
    const padding = ' '.repeat(40_000_000)
    for (let kills = 0; kills < 3; kills += 1) {
      let isSent = false
      api.before = (asked, response) => {
        const { rows, total } = api.pageOf(asked)
        response.writeHead(200, { 'content-type': 'application/json', 'x-total': total })
        response.end(`${padding}${JSON.stringify(rows)}`, () => (isSent = true))
      }
      const worker = workspace.start('worker')
      await until(() => isSent)
      await new Promise((resolve) => setTimeout(resolve, chance.below(60)))
      await kill(worker)
    }
    api.before = () => {}
    await drainExactly({ a: 9 })
  })

  it('while it settles: the ledger says done, queue.db does not', async () => {
    await setup({ a: 25 })
    let letGo = () => {}
    api.before = ({ page }) => {
      if (page === 3) letGo = holdQueue()
    }
    const worker = workspace.start('worker')
    await until(async () => (await promotedPages()) === 3 && (await ledgerDone()) === 1)
    await kill(worker)
    letGo()
    expect(tasksIn('leased')).toBe(1)
    api.before = () => {}
    await drainExactly({ a: 25 })
    expect(api.requests).toHaveLength(3)
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)('while it shuts down, by a second signal: %s', async (second) => {
    await setup({ a: 95 })
    expect(await workspace.run('worker', '--max-requests', '1')).toMatchObject({ code: 0 })
    let isAsked = false
    const letGo = await holdTable('public.thing')
    api.before = ({ page }) => {
      if (page === 6) isAsked = true
    }
    const worker = workspace.start('worker')
    await until(async () => isAsked && (await isWaitingForLock()))
    worker.child.kill('SIGTERM')
    // Its flush waits for the table: it cannot have ended by itself.
    await until(async () => await isWaitingForLock())
    // Two signals of a kind that come together are one: it is sent until it is heeded.
    await until(async () => {
      worker.child.kill(second)
      await new Promise((resolve) => setTimeout(resolve, 300))
      return worker.child.exitCode !== null || worker.child.signalCode !== null
    })
    const ended = await worker.ended
    expect(second === 'SIGTERM' ? ended.code : ended.signal).toBe(second === 'SIGTERM' ? 143 : 'SIGKILL')
    await letGo()
    await drainExactly({ a: 95 })
  })

  it('while it takes the lock over from a dead one, with rivals at its heels', async () => {
    await setup({ a: 55, b: 12 })
    api.before = async () => {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    const holderFile = join(workspace.directory, '.backfill/worker.json')
    for (let kills = 0; kills < 3; kills += 1) {
      const rivals = [workspace.start('worker'), workspace.start('worker'), workspace.start('worker')]
      // As soon as one of them is named as the holder, it dies: the moment of taking over for the others.
      await until(() => rivals.some(({ child }) => holderOf(holderFile) === child.pid))
      const holder = rivals.find(({ child }) => holderOf(holderFile) === child.pid)
      holder?.child.kill('SIGKILL')
      const ended = await Promise.all(rivals.map(({ ended: end }) => end))
      for (const { code, stderr } of ended.filter(({ signal }) => signal === null))
        expect([code, stderr]).toEqual([0, ''])
      rmSync(holderFile, { force: true })
    }
    api.before = () => {}
    await drainExactly({ a: 55, b: 12 })
  })
})

async function hasLedger(): Promise<boolean> {
  const [found] = await workspace.query<{ t: string | null }>(`select to_regclass('backfill.ledger')::text as t`)
  return found?.t !== null
}

async function promotedPages(): Promise<number> {
  if (!(await hasLedger())) return 0
  return Number(
    (await workspace.query<{ n: string }>('select coalesce(sum(pages), 0) as n from backfill.ledger'))[0]?.n,
  )
}

async function ledgerDone(): Promise<number> {
  return (await workspace.query('select from backfill.ledger where done')).length
}

function holderOf(file: string): number | null {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { readonly pid: number }).pid
  } catch {
    return null
  }
}

function versionOf(file: string): number {
  const queue = new Sqlite(file, { readonly: true })
  try {
    return queue.pragma('user_version', { simple: true }) as number
  } finally {
    queue.close()
  }
}

/** The same queue as the first version of the program would have left it. */
function makeOlder(file: string): void {
  const old = `${file}.old`
  const target = new Sqlite(old)
  migrate(target, 1)
  target.exec(`attach '${file}' as current`)
  for (const table of ['meta', 'backfill', 'stream', 'task', 'run']) {
    const columns = target.prepare('select name from pragma_table_info(?)').pluck().all(table).join(', ')
    target.exec(`insert into main.${table} (${columns}) select ${columns} from current.${table}`)
  }
  target.exec('detach current')
  target.pragma('journal_mode = wal')
  target.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
  const copy = new Sqlite(old)
  copy.exec(`vacuum into '${file}'`)
  copy.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${old}${suffix}`, { force: true })
}
