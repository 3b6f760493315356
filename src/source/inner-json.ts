// Owns answers that carry JSON inside a text of theirs, as those of language models do: the text is read where the definition says so, and stands in its own
// place from then on. Pure.
import { AnswerInvalid, type BackfillError, SourceUnavailable } from '../domain/errors.js'
import { isJsonObject, type Json, type JsonPath, valueAt } from '../domain/json.js'
import { isCutJson, parseExactJson } from './exact-json.js'
import { pathText } from './rows.js'

/** An answer with its inner JSON in place. `failure`: the text is none; errors that the answer names itself go before it. */
export interface Unfolded {
  readonly root: Json | undefined
  readonly failure: BackfillError | null
}

/** The answer with the text at `path` read as JSON. One that lacks it, or has something else there, stays as it is: what is looked for in it will be missing. */
export function readInnerJson(root: Json | undefined, path: JsonPath, address: string): Unfolded {
  const text = valueAt(root, path)
  if (root === undefined || typeof text !== 'string') return { root, failure: null }
  try {
    return { root: placed(root, path, parseExactJson(text)), failure: null }
  } catch {
    return { root, failure: noJson(text, path, address) }
  }
}

/** True where a place can be looked up although the inner text is no JSON. */
export function isOutside(place: JsonPath, inner: JsonPath): boolean {
  return inner.some((step, at) => place[at] !== step)
}

function noJson(text: string, path: JsonPath, address: string): BackfillError {
  const place = `the text at "${pathText(path)}"`
  if (text.trim() === '' || isCutJson(text)) {
    const fact = text.trim() === '' ? 'nothing in' : 'JSON that stops in the middle in'
    return new SourceUnavailable('cut_body', `read ${address} found ${fact} ${place}`, {
      hint: 'where the answer says why it stopped, name that in "errors" of the answer; ask for less, or allow a longer answer',
    })
  }
  return new AnswerInvalid('unparsable', `read ${address} found no JSON in ${place}`, {
    hint: 'ask the source for JSON alone, or correct "parse" of the answer',
  })
}

function placed(root: Json, path: JsonPath, value: Json): Json {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (Array.isArray(root)) return root.map((part: Json, at) => (at === step ? placed(part, rest, value) : part))
  if (!isJsonObject(root)) return root
  return Object.fromEntries(
    Object.entries(root).map(([name, part]) => [name, name === step ? placed(part, rest, value) : part]),
  )
}
