// Owns the request for every page but the first, where a source takes it in another form than the first: at another path, with another body, or with the
// cursor and nothing else.
import type { Pagination, RequestShape } from '../domain/source-model.js'
import { isGiven, type SourceScope, type Spot, spotAt } from './compilation.js'
import { compileRequest } from './compile-request.js'
import type { PaginateDraft } from './source-schema.js'

export interface CompiledNext {
  readonly pagination: Pagination
  /** Dimensions that its templates name. */
  readonly dimensions: readonly string[]
}

/** The pagination with its request for further pages; `first` is the stream's own, from which path and headers are taken where it names none. */
export function compileNext(
  scope: SourceScope,
  spot: Spot,
  given: { readonly draft: PaginateDraft; readonly pagination: Pagination; readonly first: RequestShape },
): CompiledNext {
  const { draft, pagination, first } = given
  if (pagination.kind !== 'cursor' || draft === 'none' || !('next' in draft) || draft.next === undefined)
    return { pagination, dimensions: [] }
  const own = spotAt(spot, 'paginate', 'next')
  const at = isGiven(own) ? own : { ...spot, path: ['paginate', 'next'] }
  const { path = first.path, headers = first.headers, ...rest } = draft.next
  const { request, dimensions } = compileRequest(scope, at, {
    request: { path, headers, ...rest },
    mayUseCursor: true,
  })
  return { pagination: { ...pagination, next: request }, dimensions }
}
