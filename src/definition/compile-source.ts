// Owns the way from a definition to the source model: shape first, then meaning, then what backfill.yaml changes; every mistake of all three in one
// go. Pure but for the hash: no file, no environment. Its result is only good where no mistake was added.
import type { Source, Stream } from '../domain/source-model.js'
import {
  keysAt,
  refuse,
  requirePlainName,
  type SourceScope,
  type Spot,
  spotAt,
  type TableNaming,
} from './compilation.js'
import { compileAuth } from './compile-auth.js'
import { compileBudget } from './compile-budget.js'
import { compileDimension, type DimensionChanges } from './compile-dimensions.js'
import { linkRequired } from './compile-filters.js'
import { forEachDimensions, linkRows } from './compile-rows.js'
import { type CompiledStream, compileStream, requestHash } from './compile-stream.js'
import { checkTemplate, checkTemplates } from './compile-templates.js'
import type { DefinitionDocument, Mistakes } from './document.js'
import { checkConfig, type OwnConfig, readConfig } from './own-config.js'
import { parkRules, type SettingsLayer, type SourceLayer } from './settings.js'
import { type SourceDraft, sourceSchema } from './source-schema.js'
import { validate } from './validate.js'
import type { SourceOverride } from './workspace-schema.js'

export interface CompileOptions {
  readonly mistakes: Mistakes
  readonly tables: TableNaming
  /** `defaults` of backfill.yaml. */
  readonly defaults: SettingsLayer & SourceLayer
  /** The source's entry in backfill.yaml, as checked; null where it is not listed. */
  readonly override: SourceOverride | null
  /** backfill.yaml itself; where the source's entry is, or would be, is `sources.<name>` in it. */
  readonly workspace: DefinitionDocument
  /** Gets a line for what is allowed and yet worth a word. */
  readonly notes: string[]
}

/** The source that a document defines; null where not even its name can be read. */
export function compileSource(document: DefinitionDocument, options: CompileOptions): Source | null {
  const draft = validate(sourceSchema, document, options.mistakes)
  return draft === null ? null : compileDraft(draft, document, options)
}

/** The name that a document gives its source, before anything is checked. */
export function sourceNameOf(document: DefinitionDocument): string | null {
  const value = document.value
  if (typeof value !== 'object' || value === null || !('source' in value)) return null
  return typeof value.source === 'string' ? value.source : null
}

function compileDraft(draft: SourceDraft, document: DefinitionDocument, options: CompileOptions): Source {
  const top: Spot = { document, path: [] }
  const name = draft.source ?? ''
  checkPresence(draft, top, options.mistakes)
  const override: Spot = { document: options.workspace, path: ['sources', name] }
  const config = readConfig({ override: options.override, spot: override, mistakes: options.mistakes })
  const { budget, dimensions } = compileRules(draft, { top, name, override, config, options })
  const scope: SourceScope = {
    ...{
      name,
      document,
      mistakes: options.mistakes,
      tables: options.tables,
      dimensions,
      limits: [...budget.limits, ...(budget.quotas ?? []), ...(budget.headers ?? [])],
    },
    dimensionNames: [...new Set([...keysAt(spotAt(top, 'dimensions')), ...Object.keys(dimensions)])],
    streamNames: keysAt(spotAt(top, 'streams')),
    ...{ config: config.scalars, configNames: config.names, usedConfig: config.used },
    override: options.override === null ? null : { spot: override, streams: options.override.streams ?? {} },
    layers: layersOf(draft, options),
  }
  const base = compileBase(scope, draft, { top, override, options })
  const parts = { ...base, paginate: draft.paginate, answer: draft.answer }
  const compiled = Object.entries(draft.streams ?? {}).map(([key, stream]) =>
    compileStream(scope, parts, { name: key, draft: stream }),
  )
  checkOverrides(scope, override)
  checkConfig(config, { spot: override, mistakes: options.mistakes })
  const source = {
    name,
    baseUrl: base.baseUrl,
    headers: base.headers,
    ...(base.auth === undefined ? {} : { auth: base.auth }),
    budget,
    park: parkRules([options.defaults, draft, options.override ?? {}]),
    dimensions: linkRows(
      dimensions,
      compiled.map(({ stream }) => stream),
    ),
    config: config.scalars,
    file: document.file,
  }
  return { ...source, streams: linkStreams(compiled, source) }
}

function checkPresence(draft: SourceDraft, top: Spot, mistakes: Mistakes): void {
  const keys = keysAt(top)
  for (const key of ['source', 'baseUrl', 'streams'] as const) {
    const expected = {
      source: 'the name of the source',
      baseUrl: 'an address like https://api.example.com/v1',
      streams: 'at least one stream',
    }
    if (!keys.includes(key)) refuse(mistakes, spotAt(top, key), { expected: expected[key], found: 'nothing' })
  }
  if (draft.source !== undefined) requirePlainName(mistakes, spotAt(top, 'source'), draft.source)
  if (draft.streams !== undefined && keysAt(spotAt(top, 'streams')).length === 0) {
    refuse(mistakes, spotAt(top, 'streams'), { expected: 'at least one stream', found: 'none' })
  }
}

interface RulesContext {
  readonly top: Spot
  readonly name: string
  readonly override: Spot
  readonly config: OwnConfig
  readonly options: CompileOptions
}

function compileRules(draft: SourceDraft, context: RulesContext): Pick<Source, 'budget' | 'dimensions'> {
  const { top, name, override, config, options } = context
  const { mistakes } = options
  const changes: Readonly<Record<string, DimensionChanges>> = options.override?.dimensions ?? {}
  const written = Object.entries(draft.dimensions ?? {}).map(
    ([key, dimension]) => [key, { draft: dimension, spot: spotAt(top, 'dimensions', key) }] as const,
  )
  const dimensions = [...written, ...forEachDimensions(draft, top)].map(([key, { draft: dimension, spot }]) => {
    const given = {
      mistakes,
      spot,
      streamNames: keysAt(spotAt(top, 'streams')),
      name: key,
      changes: changes[key] ?? {},
      override,
      lists: config.lists,
      usedConfig: config.used,
    }
    return [key, compileDimension(dimension, given)] as const
  })
  const budget = compileBudget({
    draft,
    override: options.override,
    defaults: options.defaults,
    name,
    spot: top,
    mistakes,
  })
  return { budget, dimensions: Object.fromEntries(dimensions) }
}

function layersOf(draft: SourceDraft, options: CompileOptions): SourceScope['layers'] {
  return { below: [options.defaults, draft], above: options.override === null ? [] : [options.override] }
}

interface BaseContext {
  readonly top: Spot
  readonly override: Spot
  readonly options: CompileOptions
}

/** The base address and headers, and the dimensions that they name. */
function compileBase(
  scope: SourceScope,
  draft: SourceDraft,
  { top, override, options }: BaseContext,
): Pick<Source, 'baseUrl' | 'headers'> & { readonly auth: Source['auth']; readonly dimensions: readonly string[] } {
  const changed = options.override?.baseUrl
  const spot = spotAt(changed === undefined ? top : override, 'baseUrl')
  const baseUrl = (changed ?? draft.baseUrl ?? '').replace(/\/+$/, '')
  if (baseUrl !== '') checkBaseUrl(scope, spot, { baseUrl, notes: options.notes })
  const headers = { ...draft.headers, ...options.override?.headers }
  const places = { own: draft.auth, top, changed: options.override?.auth, override, notes: options.notes }
  const { auth, dimensions: named } = compileAuth(scope, places)
  const dimensions = [
    ...checkTemplate(scope, spot, { template: baseUrl, mayUseCursor: false }),
    ...checkTemplates(scope, spotAt(top, 'headers'), { templates: draft.headers ?? {}, mayUseCursor: false }),
    ...checkTemplates(scope, spotAt(override, 'headers'), {
      templates: options.override?.headers ?? {},
      mayUseCursor: false,
    }),
    ...named,
  ]
  return { baseUrl, headers, auth, dimensions }
}

function checkBaseUrl(
  scope: SourceScope,
  spot: Spot,
  { baseUrl, notes }: { readonly baseUrl: string; readonly notes: string[] },
): void {
  // An address that begins with a hole is known only at the request, where it is checked.
  if (/^[{$]/.test(baseUrl)) return
  const parts = /^(https?):\/\/([^/?#]+)([^?#]*)$/.exec(baseUrl)
  if (parts === null) {
    const found = /:\/\/[^/]*@/.test(baseUrl) ? 'another' : JSON.stringify(baseUrl)
    refuse(scope.mistakes, spot, { expected: 'an http or https address without "?" and "#"', found })
    return
  }
  const [, scheme, host = ''] = parts
  if (host.includes('@')) {
    refuse(scope.mistakes, spot, {
      expected: 'an address without a user and password; put them into headers as $NAME',
      found: 'one with them',
    })
  } else if (scheme === 'http' && !isLoopback(host)) {
    notes.push(`source "${scope.name}" talks plain http to ${host}: what it sends can be read on the way`)
  }
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\]|[a-z0-9.-]+\.localhost)(:.*)?$/i.test(host)
}

/** Streams and dimensions that backfill.yaml names must be there. */
function checkOverrides(scope: SourceScope, override: Spot): void {
  for (const [key, known] of [
    ['streams', scope.streamNames],
    ['dimensions', scope.dimensionNames],
  ] as const) {
    for (const name of keysAt(spotAt(override, key))) {
      if (known.includes(name)) continue
      refuse(scope.mistakes, spotAt(override, key, name), {
        expected: `one of ${known.map((one) => `"${one}"`).join(', ') || `no ${key}, for there are none`}`,
        found: `"${name}"`,
      })
    }
  }
}

/** Puts in what needs the other streams: tables of references, and the hash over the finished request. */
function linkStreams(
  compiled: readonly CompiledStream[],
  source: Pick<Source, 'baseUrl' | 'config'>,
): Readonly<Record<string, Stream>> {
  const tables = new Map(compiled.map(({ stream }) => [stream.name, stream.table]))
  const linked = compiled.map(({ stream, references, requires }): readonly [string, Stream] => {
    const resolved = references.map(({ stream: target, ...reference }) => ({
      ...reference,
      table: tables.get(target) ?? stream.table,
    }))
    const required = requires.length === 0 ? {} : { requires: linkRequired(requires, tables) }
    return [stream.name, { ...stream, references: resolved, ...required, requestHash: requestHash(stream, source) }]
  })
  return Object.fromEntries(linked)
}
