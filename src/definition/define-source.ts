// Owns what a TypeScript definition calls. Knows nothing but types: it must load in a workspace that has no packages.
import type { SourceInput } from './source-schema.js'

/** A source as an author writes it; the same keys as in YAML, in camelCase. */
export type SourceDefinition = SourceInput

/** Gives an author's definition its type. It is checked when a workspace loads it, not here. */
export function defineSource(definition: SourceDefinition): SourceDefinition {
  return definition
}
