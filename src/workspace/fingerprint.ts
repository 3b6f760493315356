// Owns the answer to "is the compiled workspace still what the files say?": path, modification time, size and inode of each file that it was made from.
import { type BigIntStats, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDefinitionFile } from './definition-files.js'

/** One line a file; equal lines, equal contents. */
export type Fingerprint = readonly string[]

export interface WorkspaceFiles {
  /** backfill.yaml and everything in `sources/`, whatever its kind: definitions may import what lies beside them. */
  readonly fingerprint: Fingerprint
  /** Definitions among them, relative: `sources/acme.yaml`. */
  readonly definitions: readonly string[]
}

/** Looks at the files of a workspace without reading them. Must be taken before they are read, so that an edit in between is seen next time. */
export function lookAtFiles(directory: string): WorkspaceFiles {
  const found = listFolder(directory, 'sources')
  const definitions = found.filter(
    (file) => file.split('/').length === 2 && isDefinitionFile(file.slice('sources/'.length)),
  )
  return { fingerprint: ['backfill.yaml', ...found].map((file) => fileLine(directory, file)), definitions }
}

/** The line of a file anywhere. A file that is gone has one too. */
export function fileLine(directory: string, file: string): string {
  try {
    const stats = statSync(join(directory, file), { bigint: true })
    return `${file} ${statText(stats)}`
  } catch {
    return `${file} gone`
  }
}

/** What else the result depends on: the code that made it. In a clone the stamp of its last build, from sources the sources themselves. */
export function codeFingerprint(): Fingerprint {
  const root = import.meta.url.endsWith('.ts') ? new URL('../', import.meta.url) : new URL('../../', import.meta.url)
  const directory = fileURLToPath(root)
  if (!import.meta.url.endsWith('.ts'))
    return ['.build/tsconfig.tsbuildinfo', '../package.json'].map((file) => fileLine(directory, file))
  const folders = ['definition', 'domain', 'sources', 'workspace']
  return folders.flatMap((folder) => listFolder(directory, folder)).map((file) => fileLine(directory, file))
}

function statText({ mtimeNs, ctimeNs, size, ino }: BigIntStats): string {
  return [mtimeNs, ctimeNs, size, ino].join(' ')
}

/** Files below a folder, relative to the directory, sorted; none where there is no folder. */
function listFolder(directory: string, folder: string): string[] {
  return namesIn(join(directory, folder))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) return []
      return entry.isDirectory() ? listFolder(directory, path) : [path]
    })
    .sort()
}

function namesIn(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    // No sources of one's own is the ordinary case; a folder that may not be read is not.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return []
    throw error
  }
}
