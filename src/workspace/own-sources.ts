// Owns the user's own definitions, `sources/*.yaml|yml|ts|js|mjs` of a workspace: which there are, and what each of them holds. A file that cannot be
// read is one mistake among others, so that a broken file does not hide what is wrong with its neighbour.
import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, extname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { DefinitionDocument, Mistakes } from '../definition/document.js'
import { readPlain } from '../definition/plain-document.js'
import { sourceSchema } from '../definition/source-schema.js'
import { readYaml } from '../definition/yaml-document.js'

export interface OwnSources {
  readonly documents: readonly DefinitionDocument[]
  /** Files outside `sources/` that TypeScript definitions import, absolute. */
  readonly imported: readonly string[]
  /** False where a definition may depend on more than files (it names `process`): it is evaluated anew each time then. */
  readonly isPure: boolean
}

/** Reads the files (paths relative to the directory, as `sources/acme.yaml`). */
export async function readOwnSources(
  directory: string,
  files: readonly string[],
  mistakes: Mistakes,
): Promise<OwnSources> {
  const documents: DefinitionDocument[] = []
  const imported = new Set<string>()
  let isPure = true
  for (const file of files) {
    const text = readText(join(directory, file), { file, mistakes })
    if (text === null) continue
    if (isYaml(file)) {
      const document = readYaml(text, file, { schema: sourceSchema, mistakes })
      if (document !== null) documents.push(document)
      continue
    }
    const module = await importModule(join(directory, file), { file, mistakes })
    const texts = [text, ...(module?.files ?? []).map((path) => readFileSync(path, 'utf8'))]
    isPure &&= !texts.some((code) => /\b(process|Date|Math\.random|fetch|import\.meta)\b/.test(code))
    for (const path of module?.files ?? []) imported.add(path)
    if (module !== null) documents.push(readPlain(module.exported, { file, text, mistakes }))
  }
  return { documents, imported: [...imported], isPure }
}

function isYaml(file: string): boolean {
  return ['.yaml', '.yml'].includes(extname(file))
}

interface Origin {
  readonly file: string
  readonly mistakes: Mistakes
}

function readText(path: string, { file, mistakes }: Origin): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const found = error instanceof Error && 'code' in error ? String(error.code) : 'none'
    mistakes.add(emptyDocument(file, null), [], { expected: 'a readable file', found })
    return null
  }
}

interface ImportedModule {
  readonly exported: unknown
  /** Other files that it imports, absolute; without packages. */
  readonly files: readonly string[]
}

async function importModule(path: string, { file, mistakes }: Origin): Promise<ImportedModule | null> {
  const { createJiti } = await import('jiti')
  const jiti = createJiti(pathToFileURL(path).href, {
    alias: { 'api-backfill': packageEntry() },
    // Transpiled code is left nowhere: the folder may be read-only, another user's, or watched.
    fsCache: false,
    tryNative: false,
  })
  const before = new Set(Object.keys(jiti.cache))
  try {
    const module: unknown = await jiti.import(path)
    const files = newFiles(jiti.cache, before).filter((name) => isOwnFile(name, path))
    if (hasDefault(module)) return { exported: module.default, files }
    mistakes.add(emptyDocument(file, null), [], {
      expected: 'export default defineSource({ … })',
      found: 'no default export',
    })
  } catch (error) {
    const { line, sentence } = placeOfFailure(error, path)
    mistakes.add(emptyDocument(file, line), [], { expected: 'a module that loads', found: sentence })
  } finally {
    // A later load in this process must see what the files say by then.
    for (const name of newFiles(jiti.cache, before)) Reflect.deleteProperty(jiti.cache, name)
  }
  return null
}

function newFiles(cache: object, before: ReadonlySet<string>): readonly string[] {
  return Object.keys(cache).filter((name) => !before.has(name))
}

function hasDefault(module: unknown): module is { readonly default: unknown } {
  return typeof module === 'object' && module !== null && 'default' in module
}

function isOwnFile(name: string, path: string): boolean {
  const file = name.startsWith('file:') ? fileURLToPath(name) : name
  return (
    file !== path && !file.includes(`${sep}node_modules${sep}`) && !file.startsWith(`${dirname(packageEntry())}${sep}`)
  )
}

function packageEntry(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../index.ts' : '../index.js', import.meta.url))
}

/** Line and sentence of what a module threw, or of its syntax mistake; the column is in the sentence. */
function placeOfFailure(error: unknown, path: string): { readonly line: number | null; readonly sentence: string } {
  if (!(error instanceof Error)) return { line: null, sentence: String(error) }
  const text = `${error.message}\n${error.stack ?? ''}`
  const names = [...new Set([path, realPath(path)])]
  const found = names
    .map((name) => new RegExp(`${escapePattern(name)}:(\\d+):(\\d+)`).exec(text))
    .find((match) => match !== null)
  const first = (error.message.split('\n')[0] ?? '').replaceAll(path, basename(path)).trim().replace(/[.:]$/, '')
  const sentence = first.startsWith('ParseError: ') ? first : `${error.name}: ${first}`
  if (found === undefined) return { line: null, sentence }
  return { line: Number(found[1]), sentence: `${sentence} (column ${found[2] ?? '1'})` }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

function emptyDocument(file: string, line: number | null): DefinitionDocument {
  return { file, value: null, spell: (key) => key, written: () => '', lineOf: () => line }
}
