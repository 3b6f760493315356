/**
 * School 42 as a whole: `npm run bench school [part]`, parts `limits`, `churn`, `traps` and `kills`, all by default. Figures against their targets, from the audit of a
 * simulated school in a process of its own. Sizes come from the environment:
 *
 * SCHOOL_USERS (5000), SCHOOL_TRAP_USERS (1000), SCHOOL_KILL_USERS (1000), SCHOOL_LIMIT_USERS (5000), SCHOOL_CYCLES (12), SCHOOL_CYCLE_MS (10000: five minutes),
 * SCHOOL_CHANGES (50 a cycle), SCHOOL_KILLS (20), SCHOOL_SECONDLY (20), SCHOOL_LONG (300), SCHOOL_LONG_MS (30000), SCHOOL_RUN_MS (10000), SCHOOL_SEED.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbedded } from '../../src/embedded/open-embedded.js'
import { randomFrom } from '../../src/simulators/synthetic.js'
import { openClient } from '../support/open-client.js'
import { type ChurnFigures, playChurn } from '../support/school-churn.js'
import { playLimits } from '../support/school-limits.js'
import type { RepeatGroup } from '../support/school-repeats.js'
import { unexplained } from '../support/school-repeats.js'
import type { StageOptions } from '../support/school-stage.js'
import { printResults, type Result } from './measure.js'

const number = (name: string, usual: number) => Number(process.env[`SCHOOL_${name}`] ?? usual)
const say = (text: string) => void process.stdout.write(`${text}\n`)
const none = { kind: 'at most', bound: 0 } as const

/** @returns true where every target of the parts asked for was met. */
export async function benchSchool(parts: readonly string[]): Promise<boolean> {
  const known: Readonly<Record<string, (database: Databases) => Promise<boolean>>> = {
    limits: benchLimits,
    churn: (make) => benchChurn('A load and an hour of changes', make, { users: number('USERS', 5000) }),
    traps: (make) =>
      benchChurn('The same with all traps at once', make, { users: number('TRAP_USERS', 1000), allTraps: true }),
    kills: (make) =>
      benchChurn('The same with the worker killed', make, {
        users: number('KILL_USERS', 1000),
        kills: number('KILLS', 20),
      }),
  }
  const unknown = parts.filter((part) => !Object.hasOwn(known, part))
  if (unknown.length > 0)
    throw new Error(`school has no part ${unknown.join(', ')}; there are ${Object.keys(known).join(', ')}`)
  const directory = mkdtempSync(join(process.getuid?.() === 0 ? '/tmp' : tmpdir(), 'backfill-bench-school-'))
  chmodSync(directory, 0o755)
  const server = await openEmbedded({
    directory: join(directory, 'workspace'),
    elsewhere: join(directory, 'elsewhere'),
  })
  let isGood = true
  try {
    for (const [name, bench] of Object.entries(known)) {
      if (parts.length === 0 || parts.includes(name)) isGood = (await bench(databasesOf(server.connection))) && isGood
    }
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
  return isGood
}

type Databases = () => Promise<StageOptions['database']>

function databasesOf(connection: Awaited<ReturnType<typeof openEmbedded>>['connection']): Databases {
  return async () => {
    const database = `school_${Math.random().toString(36).slice(2)}`
    const client = await openClient(connection)
    await client.query(`create database "${database}"`).finally(() => client.end())
    const { host, port, user } = connection
    const url = `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${String(port)}`
    return { config: { ...connection, database }, url }
  }
}

async function benchLimits(make: Databases): Promise<boolean> {
  const [secondly, long, longMs] = [number('SECONDLY', 20), number('LONG', 300), number('LONG_MS', 30_000)]
  const found = await playLimits({
    database: await make(),
    second: await make(),
    users: number('LIMIT_USERS', 5000),
    ...{ secondly, long, longMs },
    runMs: number('RUN_MS', 10_000),
    tokenLifeS: 7200,
    spuriousEvery: 29,
    atMostMs: 600_000,
  })
  const minted = found.tokens.length
  const good = printResults(`Limits of ${secondly} a second and ${long} in ${longMs / 1000} s`, [
    figure('requests', found.requests, ''),
    figure('time', found.seconds, 's'),
    figure('worker runs beside verify and a second workspace', found.runs, ''),
    figure('verify runs', found.verifies, ''),
    figure('requests of verify', found.byVerify, ''),
    figure('requests of the second workspace', found.bySecond, ''),
    target('most answers in any second', found.busiestSecond, { kind: 'at most', bound: secondly }),
    target(`most answers in any ${longMs / 1000} s`, found.busiestLong, { kind: 'at most', bound: long }),
    {
      ...target('of limit less reserve, used while work was due', found.used * 100, { kind: 'at least', bound: 97 }),
      unit: '%',
    },
    figure('429 that the simulator switched on', found.refusals - found.overLimit, ''),
    target('429 for being over a limit', found.overLimit, none),
    target('attempts spent by 429', found.attemptsByRefusal, none),
    target('tokens minted (one life)', minted, { kind: 'at most', bound: 1 }),
    figure(
      'times it was handed out (a workspace each)',
      found.tokens.reduce((sum, { granted }) => sum + granted, 0),
      '',
    ),
    target('repeats that nothing explains', repeatsOf(found.repeats, unexplained), none),
  ])
  sayRepeats(found.repeats)
  say(`\nbackfill status in the second run, 80 columns:\n${found.status}`)
  return good
}

async function benchChurn(
  title: string,
  make: Databases,
  options: { readonly users: number; readonly allTraps?: boolean; readonly kills?: number },
): Promise<boolean> {
  const cycles = number('CYCLES', 12)
  const found = await playChurn({
    database: await make(),
    cycles,
    cycleMs: number('CYCLE_MS', 10_000),
    changes: number('CHANGES', 50),
    allTraps: false,
    kills: 0,
    random: randomFrom(process.env.SCHOOL_SEED ?? 'school'),
    ...options,
  })
  const good = printResults(`${title}: ${options.users} users, ${cycles} cycles`, churnResults(found))
  for (const line of [...found.differences, ...found.died]) say(`  ✗ ${line}`)
  sayRepeats(found.repeats)
  say('\n  requests by answer and route')
  for (const [shape, count] of Object.entries(found.shapes).sort((a, b) => b[1] - a[1]))
    say(`  ${String(count).padStart(6)}  ${shape}`)
  const [first, last] = [found.statuses[0], found.statuses.at(-1)]
  say(`\nbackfill status after the load, 80 columns:\n${first ?? ''}\nand after the last cycle:\n${last ?? ''}`)
  return good
}

function churnResults(found: ChurnFigures): readonly Result[] {
  const { load, churn, final, kills } = found
  return [
    figure('requests of the full load', load.requests, ''),
    figure('least possible', load.least.least, ''),
    figure('one request a user and relation', load.least.perUser, ''),
    figure('load ÷ least possible', load.requests / load.least.least, '×'),
    figure('one request a user and relation ÷ load', load.least.perUser / load.requests, '×'),
    figure('time of the load', load.seconds, 's'),
    figure('changes while the cycles ran', churn.changes, ''),
    figure('requests of the cycles', churn.requests, ''),
    figure('requests of the last full walks', final.requests, ''),
    figure('rounds of full walks until level', final.rounds, ''),
    figure('rows in all tables', found.rows, ''),
    figure('rows deleted by proof', found.prunedRows, ''),
    target('tables that are not the truth', found.differences.length, none),
    figure('workers killed at work', kills.atWork, ''),
    figure('workers that had ended before the kill', kills.tooLate, ''),
    figure('looks at watermarks', found.looks, ''),
    target('rows older than a watermark and not in the table', found.ahead, none),
    target('dead tasks, refused streams, parked sources', found.died.length, none),
    target('rows left in delta tables', found.deltaRows, none),
    target('tasks left open', found.openTasks, none),
    target('repeats that nothing explains', repeatsOf(found.repeats, unexplained), none),
  ]
}

function figure(what: string, value: number, unit: string): Result {
  return { what, value, unit, target: null }
}
function target(what: string, value: number, wanted: NonNullable<Result['target']>): Result {
  return { what, value, unit: '', target: wanted }
}
function repeatsOf(groups: readonly RepeatGroup[], why: string): number {
  return groups.find((group) => group.why === why)?.count ?? 0
}
function sayRepeats(groups: readonly RepeatGroup[]): void {
  say('\n  asked more than once, and why')
  for (const { count, why, example } of groups)
    say(`  ${String(count).padStart(6)}  ${why}\n          ${example.slice(0, 140)}`)
}
