// Owns the budget: the definition's, what backfill.yaml changes in it, and the defaults, which depend on whether there are limits.
import type { BudgetRules } from '../domain/source-model.js'
import { refuse, type Spot, spotAt } from './compilation.js'
import type { Mistakes } from './document.js'
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
  const limits = given.limits ?? []
  const preset = limits.length > 0 ? limitedDefaults : defaultSettings
  const reserve = given.reserve ?? 0
  for (const limit of limits) {
    if (Math.floor(limit.requests * (1 - reserve)) >= 1) continue
    const found = `${limit.requests} less ${reserve * 100}%, which is less than one request`
    refuse(mistakes, spotAt(spot, 'budget', 'reserve'), {
      expected: 'a reserve that leaves a request in every limit',
      found,
    })
  }
  return {
    limits,
    reserve,
    key: given.key ?? name,
    refusals: given.refusals ?? [429],
    delayMs: delayOf(changed) ?? override?.delay ?? delayOf(own) ?? draft.delay ?? defaults.delay ?? preset.delay,
    concurrency: given.concurrency ?? preset.concurrency,
    verifyShare: given.verifyShare ?? 0.5,
  }
}

const empty = {
  reserve: undefined,
  key: undefined,
  refusals: undefined,
  concurrency: undefined,
  verifyShare: undefined,
}

function delayOf(budget: BudgetDraft): number | undefined {
  return 'delay' in budget ? budget.delay : undefined
}
