/** Datasette's tilde-encoding, which its `_next` tokens are made of: like percent-encoding with `~`, and `+` for a space. */

export function tildeEncode(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text)) encoded += encodedByte(byte)
  return encoded
}

/** Reads {@link tildeEncode}; what was never encoded stays as it is. */
export function tildeDecode(text: string): string {
  const percent = text.replaceAll('%', '%25').replaceAll('~', '%').replaceAll('+', ' ')
  try {
    return decodeURIComponent(percent)
  } catch {
    return text
  }
}

function encodedByte(byte: number): string {
  if (byte === 0x20) return '+'
  const character = String.fromCharCode(byte)
  return /[A-Za-z0-9_-]/.test(character) ? character : `~${byte.toString(16).toUpperCase().padStart(2, '0')}`
}
