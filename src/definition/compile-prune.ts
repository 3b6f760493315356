// Owns when a mirrored stream may delete: the rules of `prune`, their defaults, and the request that confirms a row's end.
import type { PruneRules } from '../domain/source-model.js'
import { isGiven, refuse, type SourceScope, type Spot, spotAt } from './compilation.js'
import { compileMany } from './compile-many.js'
import { compileRequest } from './compile-request.js'
import type { PruneDraft } from './source-schema.js'

const defaultShare = 0.05
const defaultGone: readonly number[] = [404, 410]

export interface CompiledPrune {
  readonly rules: PruneRules
  /** Dimensions that the confirming request names. */
  readonly dimensions: readonly string[]
}

/** Beside dimensions, the confirming request may name the columns of the key. */
export function compilePrune(
  scope: SourceScope,
  spot: Spot,
  { draft, key }: { readonly draft: PruneDraft | undefined; readonly key: readonly string[] },
): CompiledPrune {
  const most = draft?.most ?? { share: defaultShare }
  const cascades = draft?.cascades ?? false
  const confirm = draft?.confirm ?? 'again'
  if (typeof confirm === 'string') return { rules: { confirm, most, cascades }, dimensions: [] }
  const { gone, many, ...request } = confirm
  const at = spotAt(spot, 'confirm')
  if (request.path === undefined && !isGiven(spotAt(at, 'path'))) {
    refuse(scope.mistakes, spotAt(at, 'path'), { expected: 'a path that begins with /', found: 'nothing' })
  }
  if (many !== undefined && key.length !== 1)
    refuse(scope.mistakes, spotAt(at, 'many'), {
      expected: 'a request for each row, because the key has several columns',
      found: 'many',
    })
  const names = { ...scope, dimensionNames: [...scope.dimensionNames, ...key] }
  const compiled = compileRequest(names, at, { request, mayUseCursor: false })
  return {
    rules: {
      confirm: {
        request: compiled.request,
        gone: gone ?? (many === undefined ? defaultGone : []),
        many:
          many === undefined
            ? null
            : compileMany(scope, spotAt(at, 'many'), { draft: many, inBody: compiled.request.bodyParams }),
      },
      most,
      cascades,
    },
    dimensions: compiled.dimensions.filter((name) => scope.dimensionNames.includes(name)),
  }
}
