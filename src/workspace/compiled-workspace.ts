// Owns the shape of a compiled workspace: what the definitions and backfill.yaml say, without anything of the environment. It is what the cache keeps.
import type { LogLevel } from '../domain/ports.js'
import type { Source } from '../domain/source-model.js'
import type { BrokenSource } from '../domain/workspace-model.js'

export interface CompiledWorkspace {
  readonly settings: CompiledSettings
  readonly database: CompiledDatabase
  readonly sources: Readonly<Record<string, Source>>
  /** Definitions that were left out for their mistakes. */
  readonly broken: readonly BrokenSource[]
  readonly notes: readonly string[]
}

/** The top of backfill.yaml; null: nothing was said. */
export interface CompiledSettings {
  readonly schema: string
  readonly deltaPrefix: string
  readonly timezone: string | null
  readonly logLevel: LogLevel
  readonly metrics: { readonly enabled: boolean; readonly intervalMs: number }
  readonly maxRuntimeMs: number | null
}

/**
 * What `database:` says. An address is never copied: it is read again from its place in backfill.yaml, which has not changed as long as the
 * compiled workspace is valid.
 */
export type CompiledDatabase =
  | { readonly kind: 'none' }
  | { readonly kind: 'embedded' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'address'; readonly start: number; readonly end: number }

/** What the environment says of the settings that definitions depend on; null: nothing. */
export interface TableOverrides {
  readonly schema: string | null
  readonly deltaPrefix: string | null
}
