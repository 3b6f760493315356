// Owns what an answer says of its own refusal: OAuth2's `error` and `error_description`, in its JSON or in `WWW-Authenticate`. Pure; what it gives holds no secret.
import { isJsonObject } from '../domain/json.js'
import { tryJson } from './decode.js'
import { cleanLine, excerptOf } from './excerpt.js'
import type { WireAnswer } from './transport.js'

type Answer = Pick<WireAnswer, 'headers' | 'body'>
type Clean = (text: string) => string

/** An OAuth2 error as an answer names it; null where it names none. */
export function oauthErrorOf({ body }: Pick<Answer, 'body'>): string | null {
  const root = tryJson(body)
  const error = isJsonObject(root) ? root.error : null
  return typeof error === 'string' && /^[\w-]{1,64}$/.test(error) ? error : null
}

/** `invalid_client: "Client authentication failed…"`; the beginning of the body where it names nothing; empty where there is nothing. */
export function refusalText(answer: Answer, clean: Clean): string {
  const root = tryJson(answer.body)
  const fields = isJsonObject(root) ? root : {}
  const description = [fields.error_description, fields.message, challengeText(answer)].find(
    (text) => typeof text === 'string' && text !== '',
  )
  const error = oauthErrorOf(answer)
  if (typeof description === 'string')
    return `${error === null ? '' : `${clean(error)}: `}"${cleanLine(clean(description))}"`
  const excerpt = excerptOf(answer.body, clean)
  return excerpt === '' ? '' : `"${excerpt}"`
}

/** The description in `WWW-Authenticate`; null where there is none. */
export function challengeText({ headers }: Pick<Answer, 'headers'>): string | null {
  const challenge = headers['www-authenticate']
  if (challenge === undefined) return null
  const text = /\berror_description="((?:[^"\\]|\\.)*)"/i.exec(challenge)?.[1]?.replaceAll(/\\(.)/g, '$1')
  return text === undefined || text === '' ? null : text
}
