// Owns the way through a schema: which keys may stand at a place. Used to bring YAML's snake_case to camelCase where the schema names the key, and
// nowhere else (column names, query parameters and headers stay as they are), and to guess what a mistyped key was meant to be.
import type { z } from 'zod'

interface SchemaDef {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly options?: readonly z.ZodType[]
  readonly valueType?: z.ZodType
  readonly element?: z.ZodType
}

/** The schemas that a place may have, wrappers and unions taken apart. */
export type Place = readonly z.ZodType[]

/** A schema's place. */
export function placeOf(schema: z.ZodType): Place {
  const def = definitionOf(schema)
  if (def.innerType !== undefined) return placeOf(def.innerType)
  if (def.in !== undefined) return placeOf(def.in)
  if (def.options !== undefined) return def.options.flatMap(placeOf)
  return [schema]
}

/** The keys that objects at a place may have; empty where keys are free. */
export function knownKeys(place: Place): readonly string[] {
  return [...new Set(place.flatMap((schema) => Object.keys(definitionOf(schema).shape ?? {})))]
}

/** The place of a key of an object, or of an element of a list. */
export function placeAt(place: Place, step: string | number): Place {
  return place.flatMap((schema) => {
    const def = definitionOf(schema)
    const child = typeof step === 'number' ? def.element : (ownShape(def, step) ?? def.valueType)
    return child === undefined ? [] : placeOf(child)
  })
}

/** `page_size` as `pageSize`. */
export function camelCase(key: string): string {
  return key.replaceAll(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `pageSize` as `page_size`. */
export function snakeCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function ownShape(def: SchemaDef, key: string): z.ZodType | undefined {
  return def.shape !== undefined && Object.hasOwn(def.shape, key) ? def.shape[key] : undefined
}

function definitionOf(schema: z.ZodType): SchemaDef {
  return schema.def
}
