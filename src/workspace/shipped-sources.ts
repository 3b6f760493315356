// Owns the registry of the sources that come with the package: every file in `src/sources` is one, named after its file. Loads only what is asked for.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = new URL('../sources/', import.meta.url)
const filePattern = /^([a-z][a-z0-9_-]*)\.[jt]s$/

/** Names that backfill.yaml may list without a definition of its own. */
export function shippedSourceNames(): readonly string[] {
  return [...shippedFiles().keys()]
}

/** The definition of a shipped source as its file exports it; null where none has that name. */
export async function importShippedSource(name: string): Promise<unknown> {
  const file = shippedFiles().get(name)
  if (file === undefined) return null
  const module = (await import(new URL(file, folder).href)) as { readonly default?: unknown }
  return module.default ?? null
}

function shippedFiles(): ReadonlyMap<string, string> {
  const names = readdirSync(fileURLToPath(folder)).flatMap((file): (readonly [string, string])[] => {
    const name = filePattern.exec(file)?.[1]
    return name === undefined ? [] : [[name, file]]
  })
  return new Map(names)
}
