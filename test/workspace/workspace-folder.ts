// A workspace in a temp folder, from texts; gone after the test.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Writes the files and answers the folder. */
export function workspaceFolder(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'backfill-workspace-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  writeFiles(directory, files)
  return directory
}

/** Writes further files, or others over them. */
export function writeFiles(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
}

export const acmeYaml = `source: acme
base_url: https://acme.example
headers: { authorization: Bearer $ACME_TOKEN }
streams:
  users: { path: /users, key: id, columns: { id: int } }
`
