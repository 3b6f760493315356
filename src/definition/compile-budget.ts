// Owns the budget: the definition's, what backfill.yaml changes in it, and the defaults, which depend on whether there are limits.
import { quotaName } from '../domain/quota.js'
import type { BudgetRules, Limit, LimitHeaders, Quota } from '../domain/source-model.js'
import { refuse, type Spot, spotAt } from './compilation.js'
import type { Mistakes } from './document.js'
import { readPeriod } from './quantity.js'
import { defaultSettings, limitedDefaults, type SettingsLayer } from './settings.js'
import type { SourceDraft } from './source-schema.js'
import type { SourceOverride } from './workspace-schema.js'

export interface BudgetContext {
  readonly draft: SourceDraft
  readonly override: SourceOverride | null
  readonly defaults: SettingsLayer
  readonly name: string
  readonly spot: Spot
  readonly mistakes: Mistakes
}

type BudgetDraft = Partial<Exclude<SourceDraft['budget'], undefined>>

/** The rules of a source's budget; the entry in backfill.yaml wins key by key. `delay` may stand inside or beside it. */
export function compileBudget({ draft, override, defaults, name, spot, mistakes }: BudgetContext): BudgetRules {
  const own: BudgetDraft = { ...draft.budget }
  const changed: BudgetDraft = { ...override?.budget }
  const given = { ...empty, ...own, ...changed }
  const limits = (given.limits ?? []).filter((one): one is Limit => 'periodMs' in one)
  const quotas = [...(given.limits ?? []).filter((one): one is Quota => 'per' in one), ...(given.quotas ?? [])]
  const headers = headersOf(given.headers ?? {})
  const isLimited = limits.length + quotas.length + headers.length > 0
  const preset = isLimited ? limitedDefaults : defaultSettings
  const reserve = given.reserve ?? 0
  for (const limit of [...limits, ...quotas]) {
    if (Math.floor(limit.requests * (1 - reserve)) >= 1) continue
    const found = `${limit.requests} less ${reserve * 100}%, which is less than one request`
    refuse(mistakes, spotAt(spot, 'budget', 'reserve'), {
      expected: 'a reserve that leaves a request in every limit',
      found,
    })
  }
  checkOnce({ quotas, headers }, spotAt(spot, 'budget'), mistakes)
  return {
    limits,
    reserve,
    key: given.key ?? name,
    refusals: given.refusals ?? [429],
    delayMs: delayOf(changed) ?? override?.delay ?? delayOf(own) ?? draft.delay ?? defaults.delay ?? preset.delay,
    concurrency: given.concurrency ?? preset.concurrency,
    verifyShare: given.verifyShare ?? 0.5,
    ...(quotas.length === 0 ? {} : { quotas }),
    ...(headers.length === 0 ? {} : { headers }),
    ...(given.file === undefined ? {} : { file: given.file }),
  }
}

interface HeaderNames {
  readonly limit: string
  readonly remaining: string
  readonly reset?: string | undefined
}

/** Node gives header names in small letters. */
function headersOf(given: Readonly<Record<string, HeaderNames>>): LimitHeaders[] {
  return Object.entries(given).flatMap(([window, names]) => {
    const periodMs = readPeriod(window)
    if (periodMs === null) return []
    const inSmall = { limit: names.limit.toLowerCase(), remaining: names.remaining.toLowerCase() }
    return [{ periodMs, ...inSmall, reset: names.reset?.toLowerCase() ?? null }]
  })
}

/** Two of one kind would be kept under one name. */
function checkOnce(
  { quotas, headers }: { readonly quotas: readonly Quota[]; readonly headers: readonly LimitHeaders[] },
  spot: Spot,
  mistakes: Mistakes,
): void {
  const names = quotas.map(quotaName)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined)
    refuse(mistakes, spotAt(spot, 'quotas'), { expected: 'one quota for each reset', found: 'two with the same' })
  const periods = headers.map(({ periodMs }) => periodMs)
  if (new Set(periods).size < periods.length)
    refuse(mistakes, spotAt(spot, 'headers'), { expected: 'each window once', found: 'one in two spellings' })
}

const empty = {
  limits: undefined,
  quotas: undefined,
  headers: undefined,
  file: undefined,
  reserve: undefined,
  key: undefined,
  refusals: undefined,
  concurrency: undefined,
  verifyShare: undefined,
}

function delayOf(budget: BudgetDraft): number | undefined {
  return 'delay' in budget ? budget.delay : undefined
}
