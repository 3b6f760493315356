// Owns how a place in an answer is written: `address.city`, `tags[0]`, `staff?`, `$`, `header X-Total`.
import type { JsonPath } from '../domain/json.js'
import type { Extract } from '../domain/source-model.js'

const stepPattern = /\.?([^.[\]]+)|\[(\d+)\]/gy

/** `rows[0].n` as a path; `$` is the whole, `$.a` the same as `a`. null for text that is no path. */
export function readPath(text: string): JsonPath | null {
  if (text === '$') return []
  const body = text.startsWith('$.') || text.startsWith('$[') ? text.slice(1) : text
  if (body === '' || (body.startsWith('.') && body === text)) return null
  const steps: (string | number)[] = []
  let end = 0
  for (const match of body.matchAll(stepPattern)) {
    end = match.index + match[0].length
    const isFirst = match.index === 0
    if (match[1] !== undefined && !isFirst && !match[0].startsWith('.')) return null
    steps.push(match[1] ?? Number(match[2]))
  }
  return end === body.length ? steps : null
}

/** `header X-Total`, or a path. */
export function readExtract(text: string): Extract | null {
  const header = /^header\s+([!#$%&'*+.^_`|~0-9A-Za-z-]+)$/i.exec(text)?.[1]
  if (header !== undefined) return { header: header.toLowerCase() }
  // A mistyped header's name would be a path that is never there.
  if (/^header\s/i.test(text)) return null
  const path = readPath(text)
  return path === null ? null : { path }
}
