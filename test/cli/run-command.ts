// Runs a command class in this process and tells what it printed and how it would have exited.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from '@oclif/core'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

interface Runnable {
  run(argv: string[], root: string): Promise<unknown>
}

/** Writes of the process itself are caught, so that what vitest prints meanwhile would be, too: run one command at a time. */
export async function runCommand(command: Runnable & Pick<typeof Command, 'flags'>, ...argv: string[]): Promise<Ran> {
  const out = capture(process.stdout)
  const err = capture(process.stderr)
  let exitCode = 0
  try {
    await command.run(argv, root)
  } catch (error) {
    const exit = (error as { readonly oclif?: { readonly exit?: number } }).oclif?.exit
    if (exit === undefined) throw error
    exitCode = exit
  } finally {
    out.restore()
    err.restore()
  }
  return { exitCode, stdout: out.text(), stderr: err.text() }
}

function capture(stream: NodeJS.WriteStream): { text(): string; restore(): void } {
  const original = stream.write.bind(stream)
  const chunks: string[] = []
  stream.write = (chunk: string | Uint8Array, encoding?: unknown, done?: unknown) => {
    chunks.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
    const callback = typeof encoding === 'function' ? encoding : done
    if (typeof callback === 'function') (callback as () => void)()
    return true
  }
  return {
    text: () => chunks.join(''),
    restore: () => {
      stream.write = original
    },
  }
}

/** A folder that goes with the test. */
export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'backfill-cli-')))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A source with two dimensions, one of them written with an underscore. */
const cityYaml = `source: city
base_url: http://127.0.0.1:9
budget: { limits: [15/minute] }
dimensions:
  town: [alpha, beta]
  document_type: { values: [agendas, minutes], aliases: { agenda: agendas } }
streams:
  pages:
    path: /{town}/{document_type}
    key: [id, town]
    columns: { id: bigint, town: { type: text, dimension: town }, document_type: { type: text, dimension: document_type } }
  towns:
    path: /towns
    key: id
    columns: { id: bigint }
`

/** backfill.yaml and sources/city.yaml in a folder. */
export function writeWorkspace(directory: string, files: Readonly<Record<string, string>> = {}): void {
  const all = {
    'backfill.yaml': 'database: embedded\ntimezone: Europe/Berlin\nsources: {}\n',
    'city.yaml': cityYaml,
    ...files,
  }
  mkdirSync(join(directory, 'sources'), { recursive: true })
  for (const [name, text] of Object.entries(all)) {
    writeFileSync(
      name === 'backfill.yaml' || name.startsWith('.') ? join(directory, name) : join(directory, 'sources', name),
      text,
    )
  }
}
