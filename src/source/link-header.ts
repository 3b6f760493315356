// Owns the `Link` header (RFC 8288): several links, quoted parameters, several relations in one, commas inside addresses, and what servers write that
// the RFC does not know. Pure.

interface Link {
  readonly address: string
  readonly parameters: ReadonlyMap<string, string>
}
interface Links {
  readonly links: readonly Link[]
  /** Something in the header is no link, so that one may be missing. */
  readonly isDamaged: boolean
}

/**
 * The address, absolute or relative as it was sent, of the first link with this relation; null where there is none. `unreadable` where there may be one:
 * the header holds something that is no link, which must not pass for an end.
 */
export function linkByRelation(header: string, relation: string): { readonly address: string } | 'unreadable' | null {
  const wanted = relation.toLowerCase()
  const { links, isDamaged } = readLinks(header)
  for (const { address, parameters } of links) {
    // A link with an anchor speaks of another resource than the page it came with.
    if (parameters.has('anchor')) continue
    const relations = (parameters.get('rel') ?? '').toLowerCase().split(/\s+/)
    if (relations.includes(wanted)) return { address }
  }
  return isDamaged ? 'unreadable' : null
}

function readLinks(header: string): Links {
  const links: Link[] = []
  let isDamaged = false
  const start = /[\s,]*(?:<([^>]*)>|$)/y
  for (let at = 0; ; ) {
    start.lastIndex = at
    const match = start.exec(header)
    if (match === null) {
      isDamaged = true
      const next = nextLink(header, at)
      if (next === null) return { links, isDamaged }
      at = next
    } else if (match[1] === undefined) return { links, isDamaged }
    else {
      const parameters = new Map<string, string>()
      at = readParameters(header, start.lastIndex, parameters)
      links.push({ address: match[1].trim(), parameters })
    }
  }
}

/** Where the next link seems to begin: at a comma with an address behind it. */
function nextLink(header: string, at: number): number | null {
  const found = header.slice(at).search(/,\s*</)
  return found === -1 ? null : at + found
}

/** Fills `parameters` from `at` on, where the first of a name counts; returns where the link ends. Values in single quotes are no RFC's, but are sent. */
function readParameters(header: string, at: number, parameters: Map<string, string>): number {
  const parameter = /\s*;\s*([^\s=;,"]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'(?=\s*(?:[;,]|$))|([^\s;,]*)))?/y
  parameter.lastIndex = at
  let end = at
  for (;;) {
    const match = parameter.exec(header)
    if (match === null) return end
    end = parameter.lastIndex
    const name = (match[1] ?? '').toLowerCase()
    const value = match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? match[4] ?? ''
    if (name !== '' && !parameters.has(name)) parameters.set(name, value)
  }
}
