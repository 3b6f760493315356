/**
 * A workspace in a folder of its own whose source is the shipped `school42`, at a simulated school, with the replaced scripts' own tables to load into, and the built
 * `backfill` run in it as cron would. The caller brings the database. Knows no test runner: the benchmark uses it, too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type pg from 'pg'
import { syntheticApplication } from '../../src/simulators/school-42/tokens.js'

const root = resolve(import.meta.dirname, '../..')

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}
export interface SchoolWorkspace {
  readonly directory: string
  run(...args: readonly string[]): Promise<Ended>
  start(...args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> }
  /** Writes backfill.yaml anew. */
  configure(settings: SchoolSettings): void
  remove(): void
}
/** JSON of the entry `sources.school42` in backfill.yaml, beside the address. */
export type SchoolSettings = Readonly<Record<string, unknown>>

export interface WorkspaceOptions {
  readonly schoolUrl: string
  /** Connection string. */
  readonly databaseUrl: string
  readonly settings?: SchoolSettings
  readonly secret?: string
}

export function makeSchoolWorkspace(options: WorkspaceOptions): SchoolWorkspace {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'backfill-school-')))
  const configure = (settings: SchoolSettings): void => {
    const entry = { base_url: options.schoolUrl, ...settings }
    const workspace = { database: options.databaseUrl, timezone: 'UTC', sources: { school42: entry } }
    // JSON is YAML.
    writeFileSync(join(directory, 'backfill.yaml'), `${JSON.stringify(workspace, null, 2)}\n`)
  }
  mkdirSync(join(directory, 'sources'))
  configure(options.settings ?? {})
  const { clientId, clientSecret } = syntheticApplication
  writeFileSync(join(directory, '.env'), `FT_UID=${clientId}\nFT_SECRET=${options.secret ?? clientSecret}\n`, {
    mode: 0o600,
  })
  const start = (...args: readonly string[]) => startIn(directory, args)
  return {
    directory,
    configure,
    start,
    run: (...args) => start(...args).ended,
    remove: () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/** The tables of the scripts, empty, as a user's own schema has them before the first seed. */
export async function createSchoolTables(client: pg.Client): Promise<void> {
  await client.query(readFileSync(join(root, 'test/fixtures/school-42.sql'), 'utf8'))
}

function startIn(
  directory: string,
  args: readonly string[],
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', COLUMNS: '80' }
  const child = spawn(process.execPath, [join(root, 'bin/run.js'), ...args], {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (some: Buffer) => (stdout += some.toString()))
  child.stderr.on('data', (some: Buffer) => (stderr += some.toString()))
  const ended = new Promise<Ended>((resolveEnd, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolveEnd({ code, signal, stdout, stderr }))
  })
  return { child, ended }
}
