// Owns what the parts of the compiler share: where a mistake is reported, and what is known of the source while its parts are made.
import { didYouMean, listNames } from '../domain/nearest.js'
import type { Dimension, Limit, LimitHeaders, Quota } from '../domain/source-model.js'
import { type DefinitionDocument, type KeyPath, keysIn, type Mistakes, valueIn } from './document.js'
import type { SettingsLayer } from './settings.js'
import type { FullWalkDraft } from './walk-schema.js'

/** A place in a document. */
export interface Spot {
  readonly document: DefinitionDocument
  readonly path: KeyPath
}

/** What is known of a source before its streams are made. Names are those written, even where what they hold is mistaken. */
export interface SourceScope {
  readonly name: string
  readonly document: DefinitionDocument
  readonly mistakes: Mistakes
  /** Dimensions as far as they could be made. */
  readonly dimensions: Readonly<Record<string, Dimension>>
  readonly dimensionNames: readonly string[]
  readonly streamNames: readonly string[]
  /** Plain settings for templates, and the names of all settings beside them. */
  readonly config: Readonly<Record<string, string>>
  readonly configNames: readonly string[]
  readonly usedConfig: Set<string>
  /** Empty where requests are free. */
  readonly limits: readonly (Limit | Quota | LimitHeaders)[]
  /** Schema of tables that name none, and what delta tables begin with. */
  readonly tables: TableNaming
  /** The entry of this source in backfill.yaml; null where there is none. */
  readonly override: { readonly spot: Spot; readonly streams: Readonly<Record<string, StreamChanges>> } | null
  /** Settings of the whole source, from the weakest layer. */
  readonly layers: { readonly below: readonly SettingsLayer[]; readonly above: readonly SettingsLayer[] }
}
export interface TableNaming {
  readonly schema: string
  readonly deltaPrefix: string
}
/** What backfill.yaml changes in a stream. */
export interface StreamChanges extends SettingsLayer {
  readonly table?: string | undefined
  readonly disposition?: 'append' | 'merge' | 'mirror' | 'replace' | undefined
  readonly extras?: string | undefined
  readonly unstorableText?: 'hold' | 'strip' | undefined
  readonly filter?: Readonly<Record<string, string>> | undefined
  readonly overlap?: number | undefined
  readonly fullWalk?: FullWalkDraft | undefined
}

export function spotAt(spot: Spot, ...steps: KeyPath): Spot {
  return { document: spot.document, path: [...spot.path, ...steps] }
}

/** True where something was written there, right or wrong: what was wrong has been reported. */
export function isGiven({ document, path }: Spot): boolean {
  return valueIn(document.value, path) !== undefined
}

/** The keys written in an object, right or wrong. */
export function keysAt({ document, path }: Spot): readonly string[] {
  return keysIn(document.value, path)
}

export function refuse(
  mistakes: Mistakes,
  spot: Spot,
  mistake: { readonly expected: string; readonly found: string },
): void {
  mistakes.add(spot.document, spot.path, mistake)
}

/** Reports a name that is none of the known ones; answers whether it is one. */
export function requireName(
  mistakes: Mistakes,
  spot: Spot,
  name: { readonly what: string; readonly value: string; readonly known: readonly string[] },
): boolean {
  if (name.known.includes(name.value)) return true
  const guess = didYouMean(name.value, name.known)
  const expected = guess === '' && name.known.length > 0 ? `${name.what}: ${listNames(name.known)}` : name.what
  refuse(mistakes, spot, { expected, found: `"${name.value}"${guess}` })
  return false
}

const namePattern = /^[a-z][a-z0-9_]*$/

/** Names of sources, streams and dimensions are typed on command lines. */
export function requirePlainName(mistakes: Mistakes, spot: Spot, name: string): void {
  if (namePattern.test(name) && name.length <= 63) return
  refuse(mistakes, spot, {
    expected: 'a name of a-z, 0-9 and _, beginning with a letter, at most 63 long',
    found: `"${name}"`,
  })
}

/** Postgres cuts longer identifiers silently, so that two could become one. */
export function requireIdentifier(mistakes: Mistakes, spot: Spot, identifier: string): void {
  const bytes = Buffer.byteLength(identifier)
  if (bytes > 63) {
    refuse(mistakes, spot, {
      expected: 'a name of at most 63 bytes in Postgres',
      found: `"${identifier}" (${bytes} bytes)`,
    })
  } else if (identifier === '' || identifier.includes('\0') || identifier.includes('"')) {
    refuse(mistakes, spot, { expected: 'a name in Postgres, without quotes', found: JSON.stringify(identifier) })
  }
}
