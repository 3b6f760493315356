// Owns the parts that a walk is asked for in: the changes since the last one, windows of time, pages from the last to the first. Checks that what belongs together is given together.
import type { JsonPath } from '../domain/json.js'
import type { Column, Pagination } from '../domain/source-model.js'
import type { FullWalk, Incremental, IncrementalPass, Windows } from '../domain/walk-model.js'
import { isGiven, refuse, type SourceScope, type Spot, type StreamChanges, spotAt } from './compilation.js'
import { checkTemplates } from './compile-templates.js'
import type { StreamDraft } from './source-schema.js'
import type { FullWalkDraft, IncrementalDraft } from './walk-schema.js'

interface IncrementalContext {
  readonly draft: StreamDraft
  readonly changes: StreamChanges
  readonly columns: readonly Column[] | null
}
const defaultOverlapMs = 300_000
const fullWalkPriority = -10

/** How changes are asked for. */
export function compileIncremental(
  scope: SourceScope,
  spot: Spot,
  { draft, changes, columns }: IncrementalContext,
): Incremental | null {
  const at = spotAt(spot, 'incremental')
  const given = draft.incremental
  if (given === undefined) {
    for (const key of ['overlap', 'fullWalk'] as const) {
      if (changes[key] !== undefined && scope.override !== null && !isGiven(at)) {
        const expected = 'a stream that is asked for its changes ("incremental" in its definition)'
        refuse(scope.mistakes, spotAt(scope.override.spot, 'streams', String(spot.path[1]), key), {
          expected,
          found: 'another',
        })
      }
    }
    return null
  }
  const passes = passesOf(given).map((pass, index) =>
    compilePass(scope, 'passes' in given ? spotAt(at, 'passes', index) : at, { pass, columns }),
  )
  if (passes.length === 0)
    refuse(scope.mistakes, spotAt(at, 'passes'), { expected: 'at least one pass', found: 'none' })
  return {
    passes,
    overlapMs: changes.overlap ?? given.overlap ?? defaultOverlapMs,
    fullWalk: compileFullWalk(changes.fullWalk ?? given.fullWalk),
  }
}

type PassDraft = Extract<IncrementalDraft, { readonly passes: unknown }>['passes'][number]

function passesOf(given: IncrementalDraft): readonly PassDraft[] {
  return 'passes' in given ? given.passes : [given]
}

function compilePass(
  scope: SourceScope,
  spot: Spot,
  { pass, columns }: { readonly pass: PassDraft; readonly columns: readonly Column[] | null },
): IncrementalPass {
  const query = pass.query ?? {}
  checkTemplates(scope, spotAt(spot, 'query'), { templates: query, mayUseCursor: false })
  const form = pass.form ?? '{from}'
  requireHoles(scope, spotAt(spot, 'form'), { form, names: ['from'] })
  requireFormat(scope, spot, { pass, columns })
  return {
    field: recordPath(pass.field, columns),
    param: pass.param,
    form,
    format: pass.format ?? 'iso',
    query,
    isAscending: pass.ascending ?? false,
  }
}

/** A source that writes a moment as Unix time wants to be asked for it in the same way: where it does not, the definition says so. */
function requireFormat(
  scope: SourceScope,
  spot: Spot,
  { pass, columns }: { readonly pass: PassDraft; readonly columns: readonly Column[] | null },
): void {
  const place = JSON.stringify(recordPath(pass.field, columns))
  const column = columns?.find(({ path }) => path !== null && JSON.stringify(path) === place)
  if (pass.format !== undefined || column?.unixTime === undefined) return
  const expected = `${column.unixTime}, as column "${column.name}" has it (or iso, where the parameter wants that)`
  refuse(scope.mistakes, spotAt(spot, 'format'), { expected, found: 'nothing' })
}

/** A column's name stands for its place in the record. */
function recordPath(path: JsonPath, columns: readonly Column[] | null): JsonPath {
  const name = path.length === 1 ? path[0] : undefined
  return columns?.find((column) => column.name === name)?.path ?? path
}

function compileFullWalk(draft: FullWalkDraft | undefined): FullWalk | null {
  if (draft === undefined || draft === 'never') return null
  const { every, hours, priority } = { hours: undefined, priority: undefined, ...draft }
  return { everyMs: every, hours: hours ?? null, priority: priority ?? fullWalkPriority }
}

/** The name of the column that changes with a record: a version, where the stream names none. */
export function incrementalColumn(draft: StreamDraft, columns: readonly Column[] | null): string | null {
  const [first, ...others] = draft.incremental === undefined ? [] : passesOf(draft.incremental)
  if (first === undefined || others.length > 0) return null
  const [name, ...rest] = first.field
  if (typeof name !== 'string' || rest.length > 0) return null
  return columns === null || columns.some((column) => column.name === name) ? name : null
}

const dayMs = 86_400_000
const windowRows = 5000

/** A full walk in windows; needs a total to know how many rows a window has. */
export function compileWindows(
  scope: SourceScope,
  spot: Spot,
  { draft, pagination }: { readonly draft: StreamDraft; readonly pagination: Pagination },
): Windows | null {
  const given = draft.windows
  if (given === undefined) return null
  const at = spotAt(spot, 'windows')
  const form = given.form ?? '{from},{to}'
  requireHoles(scope, spotAt(at, 'form'), { form, names: ['from', 'to'] })
  if (!('total' in pagination) || pagination.total === null)
    refuse(scope.mistakes, at, { expected: 'pages with a total, so that a full window can be halved', found: 'none' })
  return {
    param: given.param,
    form,
    format: given.format ?? 'iso',
    from: given.from,
    rows: given.rows ?? windowRows,
    leastMs: given.least ?? dayMs,
  }
}

function requireHoles(
  scope: SourceScope,
  spot: Spot,
  { form, names }: { readonly form: string; readonly names: readonly string[] },
): void {
  for (const name of names) {
    if (!form.includes(`{${name}}`))
      refuse(scope.mistakes, spot, { expected: `text with {${name}}`, found: JSON.stringify(form) })
  }
}

/** Pages from the last one need to know which that is. */
export function checkBackwards(scope: SourceScope, spot: Spot, pagination: Pagination): void {
  if (!('backwards' in pagination) || (pagination.total !== null && pagination.kind === 'page')) return
  const expected = 'numbered pages with a total, to begin at the last one'
  refuse(scope.mistakes, spotAt(spot, 'paginate', 'backwards'), { expected, found: pagination.kind })
}
