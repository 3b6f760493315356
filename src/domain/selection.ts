// Owns what `SOURCE[.STREAM] …`, dimension flags and `--partition` mean: names become streams, words become partition values. Pure. A word that
// names nothing is refused here, before a queue is opened, so that a typing mistake never looks like "nothing to do".
import { ConfigError } from './errors.js'
import { didYouMean, listNames } from './nearest.js'
import type { PartitionFilter } from './partition.js'
import { dimensionValues, isOpenDimension } from './plan.js'
import type { Dimension, Source, Stream } from './source-model.js'
import { isDateSpan, spanValues } from './span.js'
import type { Workspace } from './workspace-model.js'

export interface SelectedStream {
  readonly source: Source
  readonly stream: Stream
}

/** A dimension as a flag of its own name: `--subdomain`. `values` is null for dates, whose values depend on the day. */
export interface DimensionFlag {
  readonly name: string
  readonly sources: readonly string[]
  readonly values: readonly string[] | null
  readonly aliases: readonly string[]
}

type Sources = Pick<Workspace, 'sources'>

/**
 * The streams that `SOURCE[.STREAM] …` names, each once, in the order of the sources; all of them where nothing is named.
 * @throws ConfigError `unknown_source` or `unknown_stream`, with the names there are.
 */
export function selectStreams(workspace: Sources, args: readonly string[]): readonly SelectedStream[] {
  const wanted = args.map((arg) => readSelector(workspace, arg))
  const all = Object.values(workspace.sources).flatMap((source) =>
    Object.values(source.streams).map((stream): SelectedStream => ({ source, stream })),
  )
  if (wanted.length === 0) return all
  return all.filter(({ source, stream }) =>
    wanted.some((name) => name.source === source.name && (name.stream ?? stream.name) === stream.name),
  )
}

/**
 * Partition values from dimension flags and `--partition`: comma lists are split, aliases become their values, `all` means not restricted,
 * dates may be spans (`2024-01..2024-03`, `2024`). `today` bounds the dates.
 * @throws ConfigError `unknown_dimension`, `excluded_value` or `unknown_value`, naming what is allowed.
 */
export function resolveFilter(
  selection: readonly SelectedStream[],
  raw: Readonly<Record<string, readonly string[]>>,
  today: string,
): PartitionFilter {
  const filter: Record<string, readonly string[]> = {}
  for (const [name, texts] of Object.entries(raw)) {
    const dimensions = dimensionsNamed(selection, name)
    if (dimensions.length === 0) throw unknownDimension(selection, name)
    const words = texts.flatMap((text) => splitWords(text, dimensions))
    if (words.length === 0)
      throw new ConfigError('empty_value', `select ${name} found no value`, { hint: `write --${flagName(name)} VALUE` })
    if (words.includes('all')) continue
    filter[name] = [...new Set(words.flatMap((word) => resolveWord({ name, word, dimensions, today })))]
  }
  return filter
}

/** The dimensions of all sources, as flags; one entry a name. */
export function dimensionFlags(workspace: Sources): readonly DimensionFlag[] {
  const names = new Set(Object.values(workspace.sources).flatMap((source) => Object.keys(source.dimensions)))
  return [...names].map((name) => dimensionFlag(workspace, name))
}

/** A dimension's name as a flag: `document_type` is `--document-type`. */
export function flagName(dimension: string): string {
  return dimension.replaceAll('_', '-')
}

function dimensionFlag(workspace: Sources, name: string): DimensionFlag {
  const found = Object.values(workspace.sources).flatMap((source) => {
    const dimension = source.dimensions[name]
    return dimension === undefined ? [] : [{ source: source.name, dimension }]
  })
  const hasDates = found.some(({ dimension }) => dimension.kind === 'dates')
  const values = new Set(
    found.flatMap(({ dimension }) => (dimension.kind === 'list' ? allowedValues(dimension, '') : [])),
  )
  return {
    name,
    sources: found.map(({ source }) => source),
    values: hasDates ? null : [...values],
    aliases: [...new Set(found.flatMap(({ dimension }) => Object.keys(dimension.aliases)))],
  }
}

function readSelector(workspace: Sources, arg: string): { readonly source: string; readonly stream: string | null } {
  const dot = arg.indexOf('.')
  const sourceName = dot === -1 ? arg : arg.slice(0, dot)
  const source = own(workspace.sources, sourceName)
  if (source === undefined) throw unknownSource(workspace, sourceName)
  const stream = dot === -1 ? null : arg.slice(dot + 1)
  if (stream !== null && own(source.streams, stream) === undefined) throw unknownStream(source, stream)
  return { source: sourceName, stream }
}

function unknownSource(workspace: Sources, name: string): ConfigError {
  const names = Object.keys(workspace.sources)
  // A stream's name alone is the commonest slip: say whose it is.
  const owner = Object.values(workspace.sources).find((source) => Object.hasOwn(source.streams, name))
  const hint = owner === undefined ? `known sources: ${listNames(names)}` : `write "${owner.name}.${name}"`
  const guess = owner === undefined ? didYouMean(name, names) : ''
  return new ConfigError('unknown_source', `select "${name}" found no such source${guess}`, { hint, context: { name } })
}

function unknownStream(source: Source, name: string): ConfigError {
  const names = Object.keys(source.streams)
  const message = `select "${source.name}.${name}" found no such stream${didYouMean(name, names)}`
  const hint = `streams of ${source.name}: ${listNames(names)}`
  return new ConfigError('unknown_stream', message, { hint, context: { name } })
}

interface NamedDimension {
  readonly source: string
  readonly dimension: Dimension
}

/** The dimension of this name in each selected source of which a selected stream has it. */
function dimensionsNamed(selection: readonly SelectedStream[], name: string): readonly NamedDimension[] {
  const found = new Map<string, NamedDimension>()
  for (const { source, stream } of selection) {
    const dimension = own(source.dimensions, name)
    if (dimension !== undefined && stream.dimensions.includes(name))
      found.set(source.name, { source: source.name, dimension })
  }
  return [...found.values()]
}

function unknownDimension(selection: readonly SelectedStream[], name: string): ConfigError {
  const names = new Set(selection.flatMap(({ stream }) => stream.dimensions))
  return new ConfigError('unknown_dimension', `select by "${name}" found no such dimension${didYouMean(name, names)}`, {
    hint: `dimensions of the selected streams: ${listNames(names)}`,
    context: { name },
  })
}

/** Words of a comma list; a value or alias that contains a comma itself stays whole. */
function splitWords(text: string, dimensions: readonly NamedDimension[]): readonly string[] {
  if (dimensions.some(({ dimension }) => isKnownWord(dimension, text))) return [text]
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function isKnownWord(dimension: Dimension, word: string): boolean {
  return Object.hasOwn(dimension.aliases, word) || (dimension.kind === 'list' && dimension.values.includes(word))
}

interface Word {
  readonly name: string
  readonly word: string
  readonly dimensions: readonly NamedDimension[]
  readonly today: string
}

function resolveWord(asked: Word): readonly string[] {
  const values = asked.dimensions.flatMap(({ dimension }) => wordValues(dimension, asked.word, asked.today))
  if (values.length > 0) return values
  const excluding = asked.dimensions.find(({ dimension }) => dimension.exclude.includes(aliased(dimension, asked.word)))
  throw excluding === undefined ? unknownValue(asked) : excludedValue(asked, excluding.source)
}

function wordValues(dimension: Dimension, word: string, today: string): readonly string[] {
  const value = aliased(dimension, word)
  const allowed = allowedValues(dimension, today)
  if (isOpenDimension(dimension)) return dimension.exclude.includes(value) ? [] : [value]
  if (dimension.kind !== 'dates') return allowed.includes(value) ? [value] : []
  return isDateSpan(value) ? spanValues(value, allowed, dimension.step) : []
}

function aliased(dimension: Dimension, word: string): string {
  return own(dimension.aliases, word) ?? word
}

function allowedValues(dimension: Dimension, today: string): readonly string[] {
  return dimensionValues(dimension, today, 'oldest')
}

function excludedValue({ name, word }: Word, source: string): ConfigError {
  return new ConfigError('excluded_value', `select ${name} "${word}" found it excluded by source "${source}"`, {
    hint: `take it out of "exclude" of dimension "${name}"`,
    context: { dimension: name, value: word },
  })
}

function unknownValue({ name, word, dimensions, today }: Word): ConfigError {
  const words = dimensions.flatMap(({ dimension }) => [
    ...allowedValues(dimension, today),
    ...Object.keys(dimension.aliases),
  ])
  return new ConfigError('unknown_value', `select ${name} "${word}" found no such value${didYouMean(word, words)}`, {
    hint: dimensions.map((found) => allowedHint(found, name, today)).join('; '),
    context: { dimension: name, value: word },
  })
}

function allowedHint({ source, dimension }: NamedDimension, name: string, today: string): string {
  const values = allowedValues(dimension, today)
  if (dimension.kind === 'dates') {
    const bounds =
      values.length === 0 ? 'none yet' : `${values[0] ?? ''} to ${values.at(-1) ?? ''}, one value a ${dimension.step}`
    return `${name} of ${source}: ${bounds}`
  }
  const fromConfig = dimension.kind === 'list' ? dimension.fromConfig : null
  const place = fromConfig === null ? '' : ` (sources.${source}.${fromConfig} in backfill.yaml)`
  return `${name} of ${source}${place}: ${listNames([...values, ...Object.keys(dimension.aliases)])}`
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}
