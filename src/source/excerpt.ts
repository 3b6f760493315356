// Owns showing people a little of an answer: one line, no markup, no control characters.

const longest = 160

/**
 * The beginning of a body as one clean line; of HTML its title or its words. Empty where there is nothing to read. Secrets are taken out before the line is
 * cut: half of one would not be known for what it is.
 */
export function excerptOf(body: Buffer, clean: (text: string) => string): string {
  const text = clean(body.subarray(0, 20_480).toString('utf8')).slice(0, 16_384)
  const title = /<title[^>]*>([^<]*)/i.exec(text)?.[1]
  const words = title ?? text.replaceAll(/<(script|style)[\s\S]*?(<\/\1>|$)/gi, ' ').replaceAll(/<[^>]*>?/g, ' ')
  return cleanLine(isHtml(text) ? words : text)
}

/** One line without control characters, cut where it is long. */
export function cleanLine(text: string): string {
  const line = text.replaceAll(/[\p{C}\s\ufffd]+/gu, ' ').trim()
  return line.length > longest ? `${line.slice(0, longest).trimEnd()}…` : line
}

/** True where a body begins as markup does. */
export function isHtml(text: string): boolean {
  return /^\ufeff?\s*<(!doctype|!--|html|head|body|h1|title|\?xml|p\b|div)/i.test(text)
}
