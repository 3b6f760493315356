// Owns the text of a header: Node hands its bytes over as Latin-1, but addresses and names in them are mostly UTF-8. Pure.
import { isUtf8 } from 'node:buffer'

/** A header's text as it was meant; several of one name joined with commas. Bytes that are no UTF-8 stay as Node read them. */
export function headerText(value: string | readonly string[] | undefined): string | undefined {
  if (value === undefined) return undefined
  const text = typeof value === 'string' ? value : value.join(', ')
  if (!/[\x80-\xff]/.test(text)) return text
  const bytes = Buffer.from(text, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : text
}
