// Owns many values in one request, as a definition says it: how each is written, and where they stand.
import type { ManyValues } from '../domain/walk-model.js'
import { refuse, type SourceScope, type Spot, spotAt } from './compilation.js'
import type { ManyDraft } from './walk-schema.js'

/** `inBody`: the request takes its parameters in its body. */
export function compileMany(
  scope: Pick<SourceScope, 'mistakes'>,
  spot: Spot,
  { draft, inBody }: { readonly draft: ManyDraft; readonly inBody: boolean },
): ManyValues {
  const { param, join, max, shrinkOn, form, list } = draft
  if (form !== undefined && !form.includes('{value}'))
    refuse(scope.mistakes, spotAt(spot, 'form'), { expected: 'text with {value}', found: JSON.stringify(form) })
  if (list === true && !inBody) {
    const expected = '"params_in: body" in the request, because an address has no lists'
    refuse(scope.mistakes, spotAt(spot, 'list'), { expected, found: 'a query' })
  }
  if (list === true && join !== undefined)
    refuse(scope.mistakes, spotAt(spot, 'join'), { expected: 'none, because a list is not joined', found: 'one' })
  return {
    ...{ param, join: join ?? ',', max, shrinkOn: shrinkOn ?? [] },
    ...(form === undefined ? {} : { form }),
    ...(list === true ? { isList: true } : {}),
  }
}
