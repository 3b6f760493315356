/**
 * Reads `--from-file`: a value per line, or one JSON object of dimensions per line. Pure over its lines. A line that names nothing is refused with its number
 * before anything is enqueued, so that a typing mistake never becomes a task that cannot succeed.
 */
import { ConfigError, type ErrorDetails } from '../domain/errors.js'
import { isJsonObject, type Json } from '../domain/json.js'
import { type Partition, type PartitionFilter, partitionKey } from '../domain/partition.js'
import { isOpenDimension, partitionsOf } from '../domain/plan.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Dimension } from '../domain/source-model.js'

export interface FromFileOptions {
  readonly filter: PartitionFilter
  readonly today: string
  readonly order: 'newest' | 'oldest'
}

/** A selected stream with the partitions that the file gives it. */
export interface FilePartitions {
  readonly selected: SelectedStream
  readonly partitions: readonly Partition[]
}

/**
 * The partitions of each selected stream that the lines name; dimensions that a line leaves open take all their values. Blank lines and lines that begin
 * with `#` are passed over; a partition that comes twice counts once.
 * @throws ConfigError `from_file` naming the line.
 */
export async function partitionsFromLines(
  lines: AsyncIterable<string> | Iterable<string>,
  streams: readonly SelectedStream[],
  options: FromFileOptions,
): Promise<readonly FilePartitions[]> {
  const found = streams.map((selected) => ({ selected, partitions: new Map<string, Partition>() }))
  let number = 0
  for await (const raw of lines) {
    number += 1
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    for (const { selected, partitions } of found) {
      for (const partition of partitionsOfLine(line, number, { selected, ...options }))
        partitions.set(partitionKey(partition), partition)
    }
  }
  return found.map(({ selected, partitions }) => ({ selected, partitions: [...partitions.values()] }))
}

type LineContext = FromFileOptions & { readonly selected: SelectedStream }

function partitionsOfLine(line: string, number: number, context: LineContext): Iterable<Partition> {
  const { source, stream } = context.selected
  const given = line.startsWith('{') ? objectOf(line, number) : { [openDimension(number, context)]: line }
  const named: Record<string, string> = {}
  for (const [name, word] of Object.entries(given)) {
    const dimension = stream.dimensions.includes(name) ? source.dimensions[name] : undefined
    if (dimension === undefined)
      throw lineError(number, `names "${name}", which is no dimension of ${source.name}.${stream.name}`)
    named[name] = valueOf(word, dimension, { number, name, context })
  }
  return complete(named, context)
}

/** The one dimension that a plain value can mean: the only one that no flag has fixed. */
function openDimension(number: number, { selected, filter }: LineContext): string {
  const { source, stream } = selected
  const open = stream.dimensions.filter((name) => filter[name]?.length !== 1)
  const wide = open.length > 1 ? open.filter((name) => isOpenDimension(source.dimensions[name])) : open
  const [first] = wide
  if (wide.length === 1 && first !== undefined) return first
  const names = open.length === 0 ? 'has no open dimension' : `has ${open.length} open dimensions (${open.join(', ')})`
  throw lineError(number, `is a plain value, but ${source.name}.${stream.name} ${names}`, {
    hint: 'write JSON lines such as {"dimension": "value"}',
  })
}

function objectOf(line: string, number: number): Record<string, string> {
  const value = parse(line, number)
  if (!isJsonObject(value)) throw lineError(number, 'is no JSON object')
  return Object.fromEntries(
    Object.entries(value).map(([name, word]) => {
      if (typeof word !== 'string' && typeof word !== 'number')
        throw lineError(number, `gives "${name}" neither a text nor a number`)
      return [name, String(word)]
    }),
  )
}

function parse(line: string, number: number): Json {
  try {
    return JSON.parse(line) as Json
  } catch (error) {
    throw lineError(number, 'is no valid JSON', { cause: error })
  }
}

interface WordContext {
  readonly number: number
  readonly name: string
  readonly context: LineContext
}

function valueOf(word: string, dimension: Dimension, { number, name, context }: WordContext): string {
  const value = dimension.aliases[word] ?? word
  if (dimension.exclude.includes(value))
    throw lineError(number, `names "${value}", which "exclude" of ${name} leaves out`)
  if (isOpenDimension(dimension)) return value
  const { source, stream } = context.selected
  const exists = [...partitionsOf(stream, source, { ...context, filter: { [name]: [value] } })].length > 0
  if (!exists) throw lineError(number, `names "${value}", which is no value of ${name}`)
  return value
}

function* complete(named: Readonly<Record<string, string>>, context: LineContext): Generator<Partition> {
  const { source, stream } = context.selected
  const withNamed = {
    ...source,
    dimensions: Object.fromEntries(
      Object.entries(source.dimensions).map(([name, dimension]) => {
        const value = named[name]
        const only: Dimension = {
          kind: 'list',
          values: value === undefined ? [] : [value],
          fromConfig: null,
          exclude: [],
          aliases: {},
        }
        return [name, value === undefined ? dimension : only]
      }),
    ),
  }
  yield* partitionsOf(stream, withNamed, context)
}

function lineError(number: number, fact: string, more: ErrorDetails = {}): ConfigError {
  return new ConfigError('from_file', `read --from-file: line ${number} ${fact}`, {
    ...more,
    context: { line: number },
  })
}
