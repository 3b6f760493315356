// Owns the first half of checking: does a document have the shape that the schema asks for? Every mistake is added, what is wrong is taken out, and
// the rest comes back, so that the second half (what names what) finds its mistakes in the same go.
import type { z } from 'zod'
import { didYouMean, listNames, nearest } from '../domain/nearest.js'
import { type DefinitionDocument, describeFound, type KeyPath, type Mistakes, valueIn } from './document.js'
import { knownKeys, type Place, placeAt, placeOf } from './schema-keys.js'

type Issue = z.core.$ZodIssue

/** The document's value as the schema gives it, mistaken parts left out; null where nothing is left. */
export function validate<S extends z.ZodType>(
  schema: S,
  document: DefinitionDocument,
  mistakes: Mistakes,
): z.output<S> | null {
  let input = document.value
  for (let round = 0; ; round++) {
    const result = schema.safeParse(input)
    if (result.success) return result.data
    const issues = result.error.issues.flatMap((issue) => explain(issue, []))
    // What is missing only because it was taken out is no mistake of the author's.
    if (round === 0) addIssues(issues, { schema, document, mistakes })
    const pruned = issues.reduce<unknown>((value, issue) => issuePaths(issue).reduce(without, value), input)
    if (pruned === undefined || pruned === input || round > 20) return null
    input = pruned
  }
}

/** A union's issue becomes those of the alternative that was most likely meant. */
function explain(issue: Issue, prefix: KeyPath): Issue[] {
  const path = [...prefix, ...issue.path] as PropertyKey[]
  if (issue.code !== 'invalid_union') return [{ ...issue, path }]
  const branches = issue.errors.filter((branch) => branch.length > 0)
  const rated = branches.map((branch) => ({ branch, cost: costOf(branch) })).sort((a, b) => a.cost - b.cost)
  const best = rated[0]
  if (best === undefined || best.cost >= otherKind) return [{ ...(wordList(branches) ?? issue), path }]
  return best.branch.flatMap((inner) => explain(inner, path as KeyPath))
}

/** Where one alternative is a list of words, its message names them. */
function wordList(branches: readonly (readonly Issue[])[]): Issue | undefined {
  return branches.flat().find((issue) => issue.code === 'invalid_value' && issue.path.length === 0)
}

const otherKind = 1000

function costOf(branch: readonly Issue[]): number {
  return branch.reduce((cost, issue) => cost + issueCost(issue), 0)
}

function issueCost(issue: Issue): number {
  if (issue.code === 'unrecognized_keys') return 2 * issue.keys.length
  if (issue.path.length > 0) return 1
  return issue.code === 'invalid_union' ? Math.min(...issue.errors.map(costOf)) : otherKind
}

/** What has to go so that the rest may stand. */
function issuePaths(issue: Issue): KeyPath[] {
  const path = issue.path as KeyPath
  return issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path]
}

/** The value without the part at a path. Where the part is missing, or in a list, what holds it goes. */
function without(value: unknown, path: KeyPath): unknown {
  const [step, ...rest] = path
  if (step === undefined || typeof value !== 'object' || value === null) return undefined
  if (!Object.hasOwn(value, step)) return rest.length === 0 ? undefined : value
  const child = without(valueIn(value, [step]), rest)
  if (Array.isArray(value)) return child === undefined ? undefined : value.with(Number(step), child)
  const entries = Object.entries(value).filter(([key]) => key !== String(step) || child !== undefined)
  return Object.fromEntries(entries.map(([key, old]): [string, unknown] => [key, key === String(step) ? child : old]))
}

interface Checking {
  readonly schema: z.ZodType
  readonly document: DefinitionDocument
  readonly mistakes: Mistakes
}

function addIssues(issues: readonly Issue[], checking: Checking): void {
  const renamed = new Set<string>()
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue
    for (const meant of addUnknownKeys(issue, checking)) renamed.add(JSON.stringify(meant))
  }
  for (const issue of issues) {
    // A key that is missing because it was mistyped is one mistake, not two.
    if (issue.code === 'unrecognized_keys' || renamed.has(JSON.stringify(issue.path))) continue
    addIssue(issue, checking)
  }
}

/** Answers the paths that were probably meant. */
function addUnknownKeys(issue: Issue & { readonly code: 'unrecognized_keys' }, checking: Checking): KeyPath[] {
  const { schema, document, mistakes } = checking
  const parent = issue.path as KeyPath
  const place = parent.reduce<Place>(placeAt, placeOf(schema))
  const siblings = Object.keys(valueIn(document.value, parent) as object)
  return issue.keys.flatMap((key) => {
    const keys = knownKeys(placeWithout(key, { place, siblings }))
    const meant = nearest(key, keys)
    const guess = meant === null ? '' : ` (did you mean "${document.spell(meant)}")`
    const expected = meant === null && keys.length > 0 ? `one of ${listNames(keys.map(document.spell))}` : 'a known key'
    mistakes.add(document, [...parent, key], { expected, found: `"${key}"${guess}` })
    return meant === null ? [] : [[...parent, meant]]
  })
}

/** Of several alternatives those that fit the other keys best: of them a key may be unknown that another one has. */
function placeWithout(key: string, { place, siblings }: { place: Place; siblings: readonly string[] }): Place {
  const others = place.filter((schema) => !knownKeys([schema]).includes(key))
  const fits = others.map((schema) => knownKeys([schema]).filter((known) => siblings.includes(known)).length)
  return others.length === place.length ? place : others.filter((_, at) => fits[at] === Math.max(...fits))
}

function addIssue(issue: Issue, { document, mistakes }: Checking): void {
  const path = issue.path as KeyPath
  // Of a free key only the name is wrong; what it holds is not looked at.
  const value = issue.code === 'invalid_key' ? path.at(-1) : valueIn(document.value, path)
  const guess =
    issue.code === 'invalid_value' && typeof value === 'string' ? didYouMean(value, issue.values.map(String)) : ''
  mistakes.add(document, path, { expected: issueText(issue), found: describeFound(value, path) + guess })
}

function issueText(issue: Issue): string {
  return issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
}
