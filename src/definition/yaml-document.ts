// Owns the reading of YAML: version 1.2, core schema, no key twice. Keeps the line of every key, so that a mistake in the meaning is named as exactly
// as one in the syntax. Does not know what the keys mean.
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml'
import type { z } from 'zod'
import { canonicalKeys } from './canonical-keys.js'
import { type DefinitionDocument, type KeyPath, type Mistakes, valueIn, writePath } from './document.js'
import { knownKeys, placeAt, placeOf, snakeCase } from './schema-keys.js'

/** Where a scalar's text stands in the file, in UTF-16 units; for values that must not be copied anywhere. */
export interface TextRange {
  readonly start: number
  readonly end: number
}

export interface YamlDocument extends DefinitionDocument {
  /** The range of a plain or simply quoted scalar, without its quotes; null where the text is not literally its value. */
  readonly rangeOf: (path: KeyPath) => TextRange | null
}

/** A file's text with the schema that says which keys there are. Syntax mistakes are added to `mistakes`; null then. */
export function readYaml(
  text: string,
  file: string,
  options: { readonly schema: z.ZodType; readonly mistakes: Mistakes },
): YamlDocument | null {
  const lines = new LineCounter()
  const yaml = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    lineCounter: lines,
    prettyErrors: false,
    merge: false,
  })
  const places = new Map<string, Place>()
  const raw = yaml.errors.length > 0 ? null : collect(yaml.contents, { yaml, lines, places, depth: 0 }, [])
  if (yaml.errors.length > 0) return refuseSyntax(yaml, { file, lines, mistakes: options.mistakes })
  const { value, writtenKeys, refused } = canonicalKeys(raw ?? {}, options.schema)
  const spelled = (path: KeyPath): KeyPath =>
    path.map((step, index) => {
      const upTo = path.slice(0, index + 1)
      return writtenKeys.get(JSON.stringify(upTo)) ?? spellMissing(step, { upTo, value, schema: options.schema })
    })
  const document: YamlDocument = {
    file,
    value,
    spell: snakeCase,
    written: (path) => writePath(spelled(path)),
    lineOf: (path) => nearestPlace(places, spelled(path))?.line ?? 1,
    rangeOf: (path) => places.get(JSON.stringify(spelled(path)))?.range ?? null,
  }
  for (const { path, ...refusal } of refused) options.mistakes.add(document, path, refusal)
  return document
}

/** A key that is not there is spelled as it should have been written, where it is one of the schema's. */
function spellMissing(
  step: string | number,
  { upTo, value, schema }: { readonly upTo: KeyPath; readonly value: unknown; readonly schema: z.ZodType },
): string | number {
  if (typeof step === 'number' || valueIn(value, upTo) !== undefined) return step
  const parent = upTo.slice(0, -1).reduce(placeAt, placeOf(schema))
  return knownKeys(parent).includes(step) ? snakeCase(step) : step
}

interface Place {
  readonly line: number
  readonly range: TextRange | null
}
interface Reading {
  readonly yaml: Document.Parsed
  readonly lines: LineCounter
  readonly places: Map<string, Place>
  readonly depth: number
}

/** Definitions are a dozen levels deep; an alias that contains itself is endless. */
const maxDepth = 64

function collect(node: unknown, reading: Reading, path: KeyPath): unknown {
  if (reading.depth > maxDepth) return null
  if (isAlias(node)) return collect(node.resolve(reading.yaml), { ...reading, depth: reading.depth + 1 }, path)
  const inner = { ...reading, depth: reading.depth + 1 }
  if (isMap(node)) return Object.fromEntries(node.items.map((pair) => collectPair(pair, inner, path)))
  if (isSeq(node)) return node.items.map((element, index) => collectElement(element, inner, [...path, index]))
  return isScalar(node) ? scalarValue(node.value) : null
}

function collectPair(pair: unknown, reading: Reading, path: KeyPath): [string, unknown] {
  if (!isPair(pair)) return ['', null]
  const key = isScalar(pair.key) ? (pair.key.source ?? String(pair.key.value)) : String(pair.key)
  const at = [...path, key]
  remember(reading, at, { key: pair.key, value: pair.value })
  return [key, collect(pair.value, reading, at)]
}

function collectElement(element: unknown, reading: Reading, path: KeyPath): unknown {
  remember(reading, path, { key: element, value: element })
  return collect(element, reading, path)
}

/** YAML has numbers that a double cannot hold; as text they stay what was written. */
function scalarValue(value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

function remember(reading: Reading, path: KeyPath, nodes: { readonly key: unknown; readonly value: unknown }): void {
  const start = isNode(nodes.key) ? nodes.key.range?.[0] : undefined
  const line = start === undefined ? 1 : reading.lines.linePos(start).line
  reading.places.set(JSON.stringify(path), { line, range: isNode(nodes.value) ? literalRange(nodes.value) : null })
}

function literalRange(node: Node): TextRange | null {
  if (!isScalar(node) || typeof node.value !== 'string' || !node.range) return null
  const [start, end] = node.range
  const quotes = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE' ? 1 : 0
  const range = { start: start + quotes, end: end - quotes }
  return range.end - range.start === node.value.length ? range : null
}

function nearestPlace(places: ReadonlyMap<string, Place>, path: KeyPath): Place | undefined {
  for (let length = path.length; length > 0; length--) {
    const place = places.get(JSON.stringify(path.slice(0, length)))
    if (place !== undefined) return place
  }
  return undefined
}

function refuseSyntax(
  yaml: Document.Parsed,
  { file, lines, mistakes }: { readonly file: string; readonly lines: LineCounter; readonly mistakes: Mistakes },
): null {
  for (const error of yaml.errors) {
    const { line, col } = lines.linePos(error.pos[0])
    const document: DefinitionDocument = {
      file,
      value: null,
      spell: snakeCase,
      written: () => `column ${col}`,
      lineOf: () => line,
    }
    mistakes.add(document, [], { expected: 'YAML', found: syntaxSentence(error.code, error.message) })
  }
  return null
}

function syntaxSentence(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'a key that was there before'
  if (code === 'TAB_AS_INDENT') return 'a tab as indentation'
  return message.split('\n')[0]?.replace(/[.:]$/, '') ?? code
}
