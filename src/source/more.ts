// Owns the source's own word on whether there is more: a place that says so (`more`), or that says the opposite (`done`). Pure.
import type { Json } from '../domain/json.js'
import type { Extract } from '../domain/source-model.js'
import { badAnswer, type PageReply } from './pager.js'
import { extract, pathText, textOf } from './rows.js'

/** Where an answer says whether there is more; at most one of the two. */
export interface MoreSigns {
  readonly more?: Extract | null
  readonly done?: Extract
}

/** What of an answer can say so. */
type Answered = Pick<PageReply, 'headers' | 'root' | 'address'>

/**
 * Whether there is more; null: the definition names no such place.
 * @throws AnswerInvalid `bad_cursor` where the place is missing or says neither: an answer that usually says it must not pass for the last one.
 */
export function hasMore(signs: MoreSigns, reply: PageReply): boolean | null {
  const from = signs.done ?? signs.more ?? null
  if (from === null) return null
  const more = saysMore(signs, reply)
  if (more === null) throw badAnswer(reply, `nothing at "${placeText(from)}", which says whether there is more`)
  return more
}

/** The same where silence is allowed, because something else says that there is no more; null: not named, or not there. */
export function saysMore({ more = null, done }: MoreSigns, reply: Answered): boolean | null {
  const flag = readFlag(done ?? more, reply)
  return flag === null || done === undefined ? flag : !flag
}

function readFlag(from: Extract | null, reply: Answered): boolean | null {
  const value: Json | undefined = from === null ? undefined : extract(reply, from)
  if (from === null || value === undefined || value === null) return null
  const word = textOf(value).trim().toLowerCase()
  if (word === 'true' || word === '1') return true
  if (word === 'false' || word === '0') return false
  throw badAnswer(reply, `neither true nor false at "${placeText(from)}"`)
}

function placeText(from: Extract): string {
  return 'header' in from ? `header ${from.header}` : pathText(from.path)
}
