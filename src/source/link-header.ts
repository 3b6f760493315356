// Owns the `Link` header (RFC 8288): several links, quoted parameters, several relations in one, commas inside addresses. Pure.

interface Link {
  readonly address: string
  readonly parameters: ReadonlyMap<string, string>
}

/** The address, absolute or relative as it was sent, of the first link with this relation; null where there is none. */
export function linkByRelation(header: string, relation: string): string | null {
  const wanted = relation.toLowerCase()
  for (const { address, parameters } of readLinks(header)) {
    // A link with an anchor speaks of another resource than the page it came with.
    if (parameters.has('anchor')) continue
    const relations = (parameters.get('rel') ?? '').toLowerCase().split(/\s+/)
    if (relations.includes(wanted)) return address
  }
  return null
}

function readLinks(header: string): Link[] {
  const links: Link[] = []
  const start = /[\s,]*<([^>]*)>/y
  for (;;) {
    const match = start.exec(header)
    if (match === null) return links
    const parameters = new Map<string, string>()
    const end = readParameters(header, start.lastIndex, parameters)
    links.push({ address: (match[1] ?? '').trim(), parameters })
    start.lastIndex = end
  }
}

/** Fills `parameters` from `at` on, where the first of a name counts; returns where the link ends. */
function readParameters(header: string, at: number, parameters: Map<string, string>): number {
  const parameter = /\s*;\s*([^\s=;,"]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,]*)))?/y
  parameter.lastIndex = at
  let end = at
  for (;;) {
    const match = parameter.exec(header)
    if (match === null) return end
    end = parameter.lastIndex
    const name = (match[1] ?? '').toLowerCase()
    const value = match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? ''
    if (name !== '' && !parameters.has(name)) parameters.set(name, value)
  }
}
