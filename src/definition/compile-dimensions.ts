// Owns dimensions: where their values come from, that the words for them are unambiguous, and that no name overrides a flag.
import { isReservedName } from '../domain/reserved-names.js'
import type { DateDimension, Dimension } from '../domain/source-model.js'
import type { RowDimension } from '../domain/walk-model.js'
import { isGiven, refuse, requirePlainName, type Spot, spotAt } from './compilation.js'
import { type RowsDraft, readRows } from './compile-rows.js'
import type { Mistakes } from './document.js'
import type { DimensionDraft } from './source-schema.js'

/** What backfill.yaml changes in a dimension. */
export interface DimensionChanges {
  readonly exclude?: readonly string[] | undefined
  readonly aliases?: Readonly<Record<string, string>> | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly only?: readonly string[] | undefined
}

export interface DimensionContext {
  readonly streamNames: readonly string[]
  readonly mistakes: Mistakes
  readonly spot: Spot
  readonly name: string
  readonly changes: DimensionChanges
  /** Where backfill.yaml has (or would have) the source's entry. */
  readonly override: Spot
  /** Lists of the source's own configuration in backfill.yaml. */
  readonly lists: ReadonlyMap<string, readonly string[]>
  readonly usedConfig: Set<string>
}

const steps = { days: 'day', weeks: 'week', months: 'month', years: 'year' } as const

/** A dimension with its values filled in from backfill.yaml where it takes them from there. */
export function compileDimension(draft: DimensionDraft, context: DimensionContext): Dimension {
  const { mistakes, spot, name, changes } = context
  requirePlainName(mistakes, spot, name)
  if (isReservedName(name) || name === 'cursor') {
    refuse(mistakes, spot, { expected: 'a name that is no flag of a command', found: `"${name}"` })
  }
  const own = { exclude: undefined, aliases: undefined, ...draft }
  const rules = {
    exclude: [...new Set([...(own.exclude ?? []), ...(changes.exclude ?? [])])],
    aliases: { ...own.aliases, ...changes.aliases },
  }
  const axis = axisOf(draft, context)
  if (changes.only !== undefined && axis.kind !== 'rows') {
    const expected = 'no "only", because its values are no rows of a stream'
    refuse(mistakes, spotAt(context.override, 'dimensions', name, 'only'), { expected, found: 'a list' })
  }
  checkWords({ ...rules, ...axis }, context)
  return { ...rules, ...axis }
}

type Axis =
  | RowDimension
  | Pick<DateDimension, 'kind' | 'from' | 'to' | 'step'>
  | { readonly kind: 'list'; readonly values: readonly string[]; readonly fromConfig: string | null }

function axisOf(draft: DimensionDraft, context: DimensionContext): Axis {
  if ('values' in draft) return listAxis(draft.values, context)
  if ('config' in draft) return configAxis(draft.config, context)
  if ('rows' in draft) return rowsAxis(draft, context)
  const [key, bounds] = dateBounds(draft)
  return dateAxis(bounds, { key, context })
}

/** Values that only the database knows; the table is put in when the streams are there. */
function rowsAxis(draft: RowsDraft, context: DimensionContext): RowDimension {
  const { spot, changes } = context
  const at = isGiven(spotAt(spot, 'rows')) ? spotAt(spot, 'rows') : spot
  const { stream, column } = readRows(context, at, draft.rows)
  return {
    kind: 'rows',
    stream,
    table: { schema: '', name: stream },
    column,
    changed: null,
    where: draft.where ?? {},
    only: changes.only ?? [],
  }
}

function listAxis(values: readonly string[], context: DimensionContext): Axis {
  const { mistakes, spot } = context
  const valuesSpot = spotAt(spot, 'values')
  checkValues(values, { mistakes, spot: isGiven(valuesSpot) ? valuesSpot : spot })
  return { kind: 'list', values: [...new Set(values)], fromConfig: null }
}

function configAxis(setting: string, context: DimensionContext): Axis {
  const { mistakes, override, usedConfig, lists, name } = context
  usedConfig.add(setting)
  const at = spotAt(override, setting)
  const values = lists.get(setting) ?? []
  if (isGiven(at)) {
    // In a definition an empty list is an open dimension; an empty setting is a forgotten one.
    if (values.length === 0) refuse(mistakes, at, { expected: 'at least one value', found: 'an empty list' })
    checkValues(values, { mistakes, spot: at })
  } else refuse(mistakes, at, { expected: `the values of dimension "${name}", as a list`, found: 'nothing' })
  return { kind: 'list', values: [...new Set(values)], fromConfig: setting }
}

type DateDraft = Exclude<
  DimensionDraft,
  { readonly values: string[] } | { readonly config: string } | { readonly rows: string }
>
interface Bounds {
  readonly from: string
  readonly to?: string | undefined
}

function dateBounds(draft: DateDraft): readonly [keyof typeof steps, Bounds] {
  if ('days' in draft) return ['days', draft.days]
  if ('weeks' in draft) return ['weeks', draft.weeks]
  if ('months' in draft) return ['months', draft.months]
  return ['years', draft.years]
}

function dateAxis(
  bounds: Bounds,
  { key, context }: { readonly key: keyof typeof steps; readonly context: DimensionContext },
): Axis {
  const { mistakes, spot, changes } = context
  const from = changes.from ?? bounds.from
  const to = changes.to ?? bounds.to ?? 'yesterday'
  if (/^\d/.test(to) && to < from) {
    refuse(mistakes, spotAt(spot, key), { expected: 'from to lie before to', found: `${from} to ${to}` })
  }
  return { kind: 'dates', from, to, step: steps[key] }
}

function checkValues(
  values: readonly string[],
  { mistakes, spot }: { readonly mistakes: Mistakes; readonly spot: Spot },
): void {
  for (const [index, value] of values.entries()) {
    if (value === '' || value === 'all') {
      const found = value === '' ? 'empty text' : '"all", which means every value'
      refuse(mistakes, spotAt(spot, index), { expected: 'a value', found })
    }
  }
}

function checkWords(dimension: Dimension, { mistakes, spot }: DimensionContext): void {
  const { aliases, exclude } = dimension
  for (const [alias, value] of Object.entries(aliases)) {
    const at = spotAt(spot, 'aliases', alias)
    if (dimension.kind === 'list' && dimension.values.includes(alias)) {
      refuse(mistakes, at, { expected: 'a word that is no value itself', found: `"${alias}"` })
    } else if (dimension.kind === 'list' && dimension.fromConfig === null && !dimension.values.includes(value)) {
      refuse(mistakes, at, { expected: 'a value of the dimension', found: `"${value}"` })
    } else if (alias === 'all' || alias.includes(',')) {
      refuse(mistakes, at, { expected: 'a word other than "all", without a comma', found: `"${alias}"` })
    }
  }
  if (
    dimension.kind === 'list' &&
    dimension.values.length > 0 &&
    dimension.values.every((value) => exclude.includes(value))
  ) {
    refuse(mistakes, spotAt(spot, 'exclude'), { expected: 'to leave at least one value', found: 'every value' })
  }
}
