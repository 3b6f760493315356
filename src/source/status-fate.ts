// Owns what a status means for the task that asked: what the definition declares, by status and by what else the answer shows, and the defaults. Pure.
import { valueAt } from '../domain/json.js'
import type { Source, StatusRule, StreamSettings } from '../domain/source-model.js'
import { tryJson } from './decode.js'
import { isSameJson, textOf } from './rows.js'
import type { WireAnswer } from './transport.js'

export interface StatusVerdict {
  readonly fate: StatusRule['fate']
  /** The definition says so. */
  readonly isDeclared: boolean
  /** The definition tells by the content type that somebody else answered in the source's place, and is to be waited for. */
  readonly isDisguised: boolean
  /** How long the source is left alone, ms; null: the definition does not say. */
  readonly waitMs: number | null
}

/** The first declared rule that fits, else the default: 5xx and 408 retry, what the budget calls a refusal waits, everything else is dead. */
export function fateOfStatus(
  answer: Pick<WireAnswer, 'status' | 'headers' | 'body'>,
  { statuses }: Pick<StreamSettings, 'statuses'>,
  source: Pick<Source, 'budget'>,
): StatusVerdict {
  const declared = statuses[answer.status]
  const rules: readonly StatusRule[] = typeof declared === 'string' ? [{ fate: declared }] : (declared ?? [])
  const rule = rules.find((one) => fits(one, answer))
  if (rule === undefined)
    return { fate: defaultFate(answer.status, source), isDeclared: false, isDisguised: false, waitMs: null }
  const isDisguised = rule.fate === 'retry' && rule.contentType !== undefined
  return { fate: rule.fate, isDeclared: true, isDisguised, waitMs: rule.waitMs ?? null }
}

function defaultFate(status: number, { budget }: Pick<Source, 'budget'>): StatusRule['fate'] {
  if (budget.refusals.includes(status)) return 'budget'
  return status >= 500 || status === 408 ? 'retry' : 'dead'
}

function fits(
  { contentType, isEmpty, header, body }: StatusRule,
  answer: Pick<WireAnswer, 'headers' | 'body'>,
): boolean {
  if (contentType !== undefined && !isOfType(answer, contentType)) return false
  if (isEmpty !== undefined && isEmpty !== isEmptyBody(answer)) return false
  if (body !== undefined && !saysSo(body, answer)) return false
  if (header === undefined) return true
  const value = answer.headers[header.name]
  if (value === undefined) return false
  return header.contains === null || String(value).toLowerCase().includes(header.contains.toLowerCase())
}

/** True where a place of the answer's JSON is there, and what it must be. */
function saysSo(
  { path, equals, contains }: NonNullable<StatusRule['body']>,
  { body }: Pick<WireAnswer, 'body'>,
): boolean {
  const value = valueAt(tryJson(body), path)
  if (value === undefined || value === null) return false
  if (equals !== null && !isSameJson(value, equals)) return false
  return contains === null || textOf(value).toLowerCase().includes(contains.toLowerCase())
}

function isOfType({ headers }: Pick<WireAnswer, 'headers'>, contentType: string): boolean {
  const found = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  return contentType.endsWith('/*') ? found.startsWith(contentType.slice(0, -1)) : found === contentType
}

/** Nothing but white space. */
export function isEmptyBody({ body }: Pick<WireAnswer, 'body'>): boolean {
  return body.length < 1024 && body.toString('latin1').trim() === ''
}
