/** A workspace for the benchmarks, beside the checkout's own disk: embedded Postgres held open, the page server in a process of its own. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type pg from 'pg'
import { openEmbedded } from '../../src/embedded/open-embedded.js'
import { openClient } from '../support/open-client.js'
import { type Finished, runNode } from './measure.js'
import { userColumns } from './users.js'

const root = resolve(import.meta.dirname, '../..')

export interface BenchWorkspace {
  readonly directory: string
  readonly database: pg.Client
  /** Runs `backfill …` in it. */
  backfill(args: readonly string[], options?: { readonly watch?: boolean }): Promise<Finished>
  /** Stops the page server that runs, starts one with so many users, writes the sources anew. */
  serve(users: number): Promise<void>
  close(): Promise<void>
}

export async function openBenchWorkspace(): Promise<BenchWorkspace> {
  const parent = join(root, 'node_modules', '.cache')
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'bench-'))
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), 'database: embedded\ntimezone: UTC\n')
  const server = await openEmbedded({ directory: join(directory, '.backfill') })
  const database = await openClient(server.connection)
  let stop = () => {}
  return {
    directory,
    database,
    backfill: (args, options = {}) => runNode([join(root, 'bin/run.js'), ...args, '--workspace', directory], options),
    serve: async (users) => {
      stop()
      const started = await startPageServer(users)
      stop = started.stop
      writeFileSync(join(directory, 'sources', 'pages.yaml'), pagesYaml(started.port))
    },
    close: async () => {
      stop()
      await database.end()
      await server.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function startPageServer(users: number): Promise<{ readonly port: number; readonly stop: () => void }> {
  const script = join(import.meta.dirname, 'page-server.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, String(users)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: root,
  })
  const port = await new Promise<number>((resolvePort, reject) => {
    child.on('error', reject).on('exit', () => reject(new Error('the page server ended')))
    child.stdout.once('data', (line: Buffer) => resolvePort(Number(line.toString())))
  })
  return { port, stop: () => child.kill() }
}

function pagesYaml(port: number): string {
  const columns = userColumns.map(([name, type, from]) => `      ${name}: { type: ${type}, from: ['${from}'] }`)
  const cells = Array.from({ length: 10_000 }, (_, index) => `${index}`)
  return [
    'source: pages',
    `base_url: http://127.0.0.1:${port}`,
    'budget: { delay: 0s, concurrency: 4 }',
    `dimensions: { cell: [${cells.join(', ')}] }`,
    'streams:',
    '  users:',
    '    path: /users',
    // The server is replaced by one of fewer users, which nobody has to look at.
    '    max_shrink: 100%',
    '    paginate: { page: page, size: per_page, total: header X-Total }',
    '    page_size: 100',
    '    key: id',
    '    columns:',
    ...columns,
    '  cells:',
    '    path: /cell/{cell}',
    '    paginate: none',
    '    key: id',
    '    columns: { id: bigint, name: text }',
    '',
  ].join('\n')
}
