// Owns the JSON Schemas that editors check definitions with, made from the same schemas that loading uses. Keys are in snake_case, as YAML has them.
import { z } from 'zod'
import { snakeCase } from './schema-keys.js'
import { settingsCatalogue } from './settings-catalogue.js'
import { sourceSchema } from './source-schema.js'
import { workspaceSchema } from './workspace-schema.js'

/** A JSON Schema document. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Schema of `sources/*.yaml`. */
export function sourceJsonSchema(): JsonSchema {
  return published(sourceSchema, 'A source of backfill', ['source', 'base_url', 'streams'])
}

/** Schema of `backfill.yaml`. */
export function workspaceJsonSchema(): JsonSchema {
  return published(workspaceSchema, 'backfill.yaml', [])
}

function published(schema: z.ZodType, title: string, required: readonly string[]): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'ref',
    // Without a word it would be anything, and with it every value that may be a number.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'bigint') jsonSchema.type = 'integer'
    },
  })
  return { $schema, title, ...(snakeProperties(rest) as JsonSchema), ...(required.length > 0 ? { required } : {}) }
}

function snakeProperties(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(snakeProperties)
  if (typeof node !== 'object' || node === null) return node
  return Object.fromEntries(
    Object.entries(node).map(([key, value]): [string, unknown] => {
      if (key === 'required' && Array.isArray(value)) return [key, value.map((name) => snakeCase(String(name)))]
      return [key, key === 'properties' ? snakeKeys(value) : snakeProperties(value)]
    }),
  )
}

function snakeKeys(properties: unknown): unknown {
  const entries = Object.entries(properties as Readonly<Record<string, unknown>>)
  return Object.fromEntries(
    entries.map(([key, value]): [string, unknown] => {
      const name = snakeCase(key)
      return [name, described(snakeProperties(value), sentences.get(name))]
    }),
  )
}

/** Sentences of settings that are called the same wherever they stand. */
const sentences = new Map(settingsCatalogue.map(({ key, sentence }) => [key, sentence]))

function described(schema: unknown, sentence: string | undefined): unknown {
  if (sentence === undefined || typeof schema !== 'object' || schema === null) return schema
  return { ...schema, description: sentence }
}
