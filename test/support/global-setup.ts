/**
 * One real Postgres for the whole test run, embedded, in a folder of its own that is removed at the end. Ignores DATABASE_URL and PG*.
 *
 * A run that was killed leaves its folder and a server: the next run stops and removes what belongs to no living process.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type EmbeddedConnection, openEmbedded } from '../../src/embedded/open-embedded.js'

declare module 'vitest' {
  interface ProvidedContext {
    readonly postgres: EmbeddedConnection
  }
}

// Root's own temporary folder may be closed to the account that root's server runs as.
const temporary = process.getuid?.() === 0 ? '/tmp' : tmpdir()
const prefix = 'backfill-test-'

/** Tests kill processes, not the machine's power: nothing has to reach the disk. */
const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' }

/** Starts the server; answers what stops and removes it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeAbandoned()
  const folder = await mkdtemp(join(temporary, `${prefix}${String(process.pid)}-`))
  const server = await openEmbedded({ ...(await placesIn(folder)), settings })
  project.provide('postgres', server.connection)
  return async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** The workspace, and where root's data goes instead where user namespaces are forbidden: another account must be able to get there. */
async function placesIn(folder: string) {
  await chmod(folder, 0o755)
  return { directory: join(folder, 'workspace'), elsewhere: join(folder, 'elsewhere') }
}

async function removeAbandoned(): Promise<void> {
  const names = (await readdir(temporary)).filter(
    (name) => name.startsWith(prefix) && !isAlive(Number(name.split('-')[2])),
  )
  // Another user's are not ours to remove.
  await Promise.allSettled(names.map((name) => remove(join(temporary, name))))
}

async function remove(folder: string): Promise<void> {
  if (existsSync(join(folder, 'postgres/data/postmaster.pid')))
    await (await openEmbedded({ directory: folder })).close()
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
