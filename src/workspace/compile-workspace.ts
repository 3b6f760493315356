// Owns the cold start: reads backfill.yaml and every definition, checks them together, and gives a compiled workspace or all their mistakes. Loads yaml,
// zod and jiti; a warm start never gets here. Knows nothing of the environment but the two names that tables are made with.

import { requireIdentifier, type TableNaming } from '../definition/compilation.js'
import { compileSource, sourceNameOf } from '../definition/compile-source.js'
import { type DefinitionDocument, keysIn, Mistakes } from '../definition/document.js'
import { readPlain } from '../definition/plain-document.js'
import { validate } from '../definition/validate.js'
import { type WorkspaceDraft, workspaceSchema } from '../definition/workspace-schema.js'
import { readYaml, type YamlDocument } from '../definition/yaml-document.js'
import { ConfigError, type Problem } from '../domain/errors.js'
import { listNames } from '../domain/nearest.js'
import type { Source, Stream } from '../domain/source-model.js'
import type { BrokenSource } from '../domain/workspace-model.js'
import type { CompiledDatabase, CompiledSettings, CompiledWorkspace, TableOverrides } from './compiled-workspace.js'
import { readOwnSources } from './own-sources.js'
import { importShippedSource, shippedSourceNames } from './shipped-sources.js'
import { isTimezone } from './timezone.js'

export interface CompileRequest {
  readonly directory: string
  /** Text of backfill.yaml. */
  readonly text: string
  /** Definitions of the user's own, relative to the directory. */
  readonly ownFiles: readonly string[]
  readonly tables: TableOverrides
}

export interface CompileResult {
  readonly compiled: CompiledWorkspace
  /** Files outside `sources/` that it depends on, absolute. */
  readonly imported: readonly string[]
  /** False where it depends on more than files. */
  readonly isCacheable: boolean
}

const settingsFile = 'backfill.yaml'

/**
 * A definition of the user's own with mistakes is left out and named in `broken`; the others are not stopped by it.
 * @throws ConfigError `invalid_definition` with every mistake, where backfill.yaml has one or no source is left.
 */
export async function compileWorkspace(request: CompileRequest): Promise<CompileResult> {
  const mistakes = new Mistakes()
  const document = readYaml(request.text, settingsFile, { schema: workspaceSchema, mistakes })
  // Without its settings nothing about the sources can be told.
  if (document === null) throw refusal(mistakes.problems)
  const draft = validate(workspaceSchema, document, mistakes) ?? {}
  const settings = compileSettings(draft, { document, mistakes, tables: request.tables })
  const own = await readOwnSources(request.directory, request.ownFiles, mistakes)
  const notes: string[] = []
  const compilation: Compilation = { document, draft, mistakes, tables: settings, notes }
  const sources = await compileSources(own.documents, compilation)
  const database = compileDatabase(draft.database, compilation)
  const whole = withoutBroken(sources, own.documents, mistakes.problems)
  if (whole === null) throw refusal(mistakes.problems)
  const isCacheable = own.isPure && whole.broken.length === 0
  return { compiled: { settings, database, ...whole, notes }, imported: own.imported, isCacheable }
}

/** Null where nothing can be worked on: backfill.yaml is everybody's, and a workspace whose every source is mistaken has none. */
function withoutBroken(
  sources: Readonly<Record<string, Source>>,
  own: readonly DefinitionDocument[],
  problems: readonly Problem[],
): Pick<CompiledWorkspace, 'sources' | 'broken'> | null {
  const names = new Map(own.map((definition) => [definition.file, sourceNameOf(definition)]))
  const files = [...new Set(problems.map(({ file }) => file))].sort()
  if (files.some((file) => file === settingsFile || file.startsWith('(built in)'))) return null
  const broken = files.map((file): BrokenSource => {
    const mistakes = problems.filter((problem) => problem.file === file)
    return { file, name: names.get(file) ?? null, problems: mistakes }
  })
  const badFiles = new Set(files)
  // Of two definitions of one name neither is known to be the right one.
  const badNames = new Set(broken.map(({ name }) => name))
  const good = Object.entries(sources).filter(([name, { file }]) => !badFiles.has(file) && !badNames.has(name))
  return problems.length > 0 && good.length === 0 ? null : { sources: Object.fromEntries(good), broken }
}

interface Compilation {
  readonly document: YamlDocument
  readonly draft: WorkspaceDraft
  readonly mistakes: Mistakes
  readonly tables: TableNaming
  readonly notes: string[]
}

function compileSettings(
  draft: WorkspaceDraft,
  given: { readonly document: DefinitionDocument; readonly mistakes: Mistakes; readonly tables: TableOverrides },
): CompiledSettings {
  const { document, mistakes, tables } = given
  const schema = tables.schema ?? draft.schema ?? 'public'
  const deltaPrefix = tables.deltaPrefix ?? draft.deltaPrefix ?? 'delta_'
  requireIdentifier(mistakes, { document, path: ['schema'] }, schema)
  requireIdentifier(mistakes, { document, path: ['deltaPrefix'] }, deltaPrefix)
  if (draft.timezone !== undefined && !isTimezone(draft.timezone)) {
    mistakes.add(document, ['timezone'], { expected: 'a zone like Europe/Berlin', found: `"${draft.timezone}"` })
  }
  return {
    schema,
    deltaPrefix,
    timezone: draft.timezone ?? null,
    logLevel: draft.logLevel ?? 'info',
    metrics: { enabled: draft.metrics?.enabled ?? true, intervalMs: draft.metrics?.interval ?? 300_000 },
    maxRuntimeMs: draft.maxRuntime ?? null,
  }
}

function compileDatabase(text: string | undefined, { document, mistakes, notes }: Compilation): CompiledDatabase {
  if (text === undefined) return { kind: 'none' }
  if (text === 'embedded') return { kind: 'embedded' }
  const variable = /^\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))$/.exec(text)
  const name = variable?.[1] ?? variable?.[2]
  if (name !== undefined) return { kind: 'variable', name }
  const range = document.rangeOf(['database'])
  if (!/^postgres(ql)?:\/\/\S+$/.test(text) || range === null) {
    const expected = 'embedded, $NAME of a variable, or an address like postgres://host/name'
    mistakes.add(document, ['database'], { expected, found: `text of ${text.length} characters` })
    return { kind: 'none' }
  }
  if (/^\w+:\/\/[^/@:]*:[^/@$]+@/.test(text)) {
    notes.push(
      `${settingsFile} holds the database's password; move the address to .env and write "database: $DATABASE_URL"`,
    )
  }
  return { kind: 'address', ...range }
}

async function compileSources(
  own: readonly DefinitionDocument[],
  compilation: Compilation,
): Promise<Readonly<Record<string, Source>>> {
  const { document, mistakes } = compilation
  const named = nameDocuments(own, mistakes)
  const listed = keysIn(document.value, ['sources'])
  for (const name of listed) {
    if (named.has(name)) continue
    const shipped = await importShippedSource(name)
    if (shipped === null) refuseUnknown(name, [...named.keys()], compilation)
    else named.set(name, readPlain(shipped, { file: `(built in) ${name}`, text: null, mistakes }))
  }
  // Listed ones first, in their order: that is the order of `status`.
  const names = [...new Set([...listed, ...named.keys()])]
  const sources: Record<string, Source> = {}
  for (const name of names) {
    const definition = named.get(name)
    const source = definition === undefined ? null : compileOne(name, definition, compilation)
    if (source !== null) sources[name] = source
  }
  for (const definition of own) {
    // Without a name it is in use by nobody; its mistakes are its author's to know all the same.
    if (sourceNameOf(definition) === null) compileOne('', definition, compilation)
  }
  checkTables(sources, { named, mistakes, deltaPrefix: compilation.tables.deltaPrefix })
  return sources
}

function nameDocuments(own: readonly DefinitionDocument[], mistakes: Mistakes): Map<string, DefinitionDocument> {
  const named = new Map<string, DefinitionDocument>()
  for (const definition of own) {
    const name = sourceNameOf(definition)
    if (name === null) continue
    const first = named.get(name)
    if (first === undefined) named.set(name, definition)
    else
      mistakes.add(definition, ['source'], { expected: 'a name of its own', found: `"${name}", as in ${first.file}` })
  }
  return named
}

function refuseUnknown(name: string, own: readonly string[], { document, mistakes }: Compilation): void {
  const known = [...new Set([...own, ...shippedSourceNames()])]
  mistakes.add(document, ['sources', name], {
    expected: `a file in sources/ that defines it, or one of ${listNames(known)}`,
    found: `"${name}"`,
  })
}

function compileOne(name: string, definition: DefinitionDocument, compilation: Compilation): Source | null {
  const { document, draft, mistakes, tables, notes } = compilation
  const entry = draft.sources?.[name]
  const override = entry === undefined ? null : (entry ?? {})
  return compileSource(definition, {
    mistakes,
    tables,
    defaults: draft.defaults ?? {},
    override,
    workspace: document,
    notes,
  })
}

interface TableCheck {
  readonly named: ReadonlyMap<string, DefinitionDocument>
  readonly mistakes: Mistakes
  readonly deltaPrefix: string
}

/** Two streams on one table would take each other's rows for their own; so would a table that is another one's delta table. */
function checkTables(sources: Readonly<Record<string, Source>>, { named, mistakes, deltaPrefix }: TableCheck): void {
  const owners = new Map<string, Stream>()
  const streams = Object.values(sources).flatMap((source) => Object.values(source.streams))
  for (const stream of streams) {
    for (const name of [stream.table.name, deltaPrefix + stream.table.name]) {
      const table = JSON.stringify([stream.table.schema, name])
      const owner = owners.get(table)
      if (owner !== undefined) {
        // Which of the two is right cannot be told: neither is worked on.
        refuseTable(stream, owner, { name, named, mistakes })
        if (owner.source !== stream.source) refuseTable(owner, stream, { name, named, mistakes })
      }
      owners.set(table, owner ?? stream)
    }
  }
}

function refuseTable(
  stream: Stream,
  rival: Stream,
  { name, named, mistakes }: Pick<TableCheck, 'named' | 'mistakes'> & { readonly name: string },
): void {
  const definition = named.get(stream.source)
  if (definition === undefined) return
  const found = `"${stream.table.schema}.${name}", which is in use by ${rival.source}.${rival.name}`
  const expected = `a table of its own, like "table: ${stream.source}_${stream.name}"`
  mistakes.add(definition, ['streams', stream.name, 'table'], { expected, found })
}

function refusal(problems: readonly Problem[]): ConfigError {
  const sorted = [...problems].sort((a, b) => order(a, b))
  const files = [...new Set(sorted.map(({ file }) => file))]
  const mistakes = sorted.length === 1 ? '1 mistake' : `${sorted.length} mistakes`
  const message = `read ${files.length === 1 ? `"${files[0] ?? ''}"` : `${files.length} files`} found ${mistakes}`
  return new ConfigError('invalid_definition', message, { problems: sorted, context: { mistakes: sorted.length } })
}

function order(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file === settingsFile ? -1 : b.file === settingsFile ? 1 : a.file < b.file ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0)
}
