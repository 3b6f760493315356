/**
 * The demo's workspace: made once, then only its port is ever rewritten, so that what a user changed in it stays. `base_url` in its backfill.yaml is the
 * one memory of the port: it is part of a walk's request, and an unfinished walk goes on only where it is the same.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { schemaLine } from '../definition/schema-line.js'
import { ConfigError } from '../domain/errors.js'
import { subdomains } from './simulated.js'

const addressPattern = /http:\/\/127\.0\.0\.1:(\d+)\/\{subdomain\}/

/** The port that the workspace's backfill.yaml names; null where there is no workspace yet. @throws ConfigError where it is not a demo's. */
export async function rememberedPort(directory: string): Promise<number | null> {
  const text = await readSettings(directory)
  if (text === null) return null
  const port = addressPattern.exec(text)?.[1]
  if (port !== undefined) return Number(port)
  throw new ConfigError('not_a_demo', `read "${settingsFile(directory)}" found no address of the simulated service`, {
    hint: `choose another folder with --directory, or remove "${directory}" to start over`,
  })
}

/** Makes the workspace, or writes the port into the one there is. Whole or not at all: a kill leaves the old file. @param root folder of this package */
export async function writeWorkspace(directory: string, port: number, root: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  const text = await readSettings(directory)
  const address = `http://127.0.0.1:${port}/{subdomain}`
  const next = text === null ? newSettings(address, root) : text.replace(addressPattern, address)
  if (next !== text) await replaceFile(settingsFile(directory), next)
}

function newSettings(address: string, root: string): string {
  return `${schemaLine(root, 'workspace')}
# Made by "backfill demo". Change it as you like; the demo rewrites only the port below. To start over, remove this folder.
database: embedded

sources:
  civicband:
    subdomains: [${subdomains.join(', ')}]
    # The simulated civic.band, which runs while the demo runs. Without this line the real one is asked.
    base_url: ${address}
    # The real one allows 15 requests a minute; the simulated one refuses, like it, what goes beyond this.
    budget: { limits: [10/s] }
`
}

function settingsFile(directory: string): string {
  return join(directory, 'backfill.yaml')
}

async function readSettings(directory: string): Promise<string | null> {
  try {
    return await readFile(settingsFile(directory), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`
  const handle = await open(draft, 'w')
  await handle.writeFile(text)
  await handle.sync()
  await handle.close()
  await rename(draft, file)
}
