// Owns the free keys of a source's entry in backfill.yaml: lists for dimensions, single values for `{config.NAME}`. A key that nothing names is a
// mistyped setting and refused.
import { didYouMean, listNames } from '../domain/nearest.js'
import { refuse, type Spot, spotAt } from './compilation.js'
import type { Mistakes } from './document.js'
import { type SourceOverride, sourceOverrideShape } from './workspace-schema.js'

export interface OwnConfig {
  readonly names: readonly string[]
  readonly scalars: Readonly<Record<string, string>>
  readonly lists: ReadonlyMap<string, readonly string[]>
  /** Names that a dimension or template asked for; filled while the source is compiled. */
  readonly used: Set<string>
}

/** What the entry says beside the known keys. A single value serves a dimension as well. */
export function readConfig({
  override,
  spot,
  mistakes,
}: {
  readonly override: SourceOverride | null
  readonly spot: Spot
  readonly mistakes: Mistakes
}): OwnConfig {
  const scalars: Record<string, string> = {}
  const lists = new Map<string, readonly string[]>()
  const free = Object.entries(override ?? {}).filter(([key]) => !Object.hasOwn(sourceOverrideShape, key))
  for (const [name, value] of free) {
    if (typeof value === 'string') scalars[name] = value
    const values = (Array.isArray(value) ? value : [value]).filter((text) => typeof text === 'string')
    lists.set(name, values)
    for (const [index, text] of values.entries()) {
      if (!/^\$\{?[A-Za-z_]\w*\}?$/.test(text)) continue
      const at = Array.isArray(value) ? spotAt(spot, name, index) : spotAt(spot, name)
      refuse(mistakes, at, { expected: 'plain text; the definition itself may name a variable', found: `"${text}"` })
    }
  }
  return { names: [...lists.keys()], scalars, lists, used: new Set() }
}

/** Refuses keys that no dimension and no template of the source names. */
export function checkConfig(
  config: OwnConfig,
  { spot, mistakes }: { readonly spot: Spot; readonly mistakes: Mistakes },
): void {
  const settings = Object.keys(sourceOverrideShape).map(spot.document.spell)
  for (const name of config.names) {
    if (config.used.has(name)) continue
    const guess = didYouMean(name, [...settings, ...config.used])
    const wanted = config.used.size === 0 ? '' : `, or ${listNames(config.used)}`
    refuse(mistakes, spotAt(spot, name), {
      expected: guess === '' ? `a setting of a source${wanted}` : 'a known key',
      found: `"${name}"${guess}`,
    })
  }
}
