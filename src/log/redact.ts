/**
 * Takes credentials out of text before it reaches a log, a terminal or `--json`. Owns only the rule of what looks secret; must not know where the
 * text goes. The last line of defence: messages are written without secrets in the first place.
 */

const secretName =
  /(secret|token|passw(or)?d|passphrase|api_?key|private|credential|auth|cookie|database_url|_uid$|client_id)/i
const credentialsInUrl = /\b([a-z][a-z0-9+.-]*:\/\/)([^\s/@:]*):([^\s/@]+)@/gi
const bearer = /\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}/gi
const secretParameter = /([?&](?:[a-z_-]*(?:token|secret|password|api_?key|signature)[a-z_-]*)=)[^&\s"']+/gi
/** Shorter values ("1", "yes", "test") occur in ordinary text; taking them out would make messages unreadable. */
const shortestSecret = 6

/**
 * A function that replaces every value of a secret-looking environment name, credentials in URLs, bearer tokens and secret query parameters by `***`.
 * Values shorter than six characters are not recognised.
 */
export function redactor(environment: Readonly<Record<string, string | undefined>>): (text: string) => string {
  const values = Object.entries(environment)
    .filter(([name]) => secretName.test(name))
    .flatMap(([, value]) => (value === undefined ? [] : spellings(value)))
    .filter((value) => value.length >= shortestSecret)
    // Longest first, so that a secret that contains another one goes whole.
    .sort((a, b) => b.length - a.length)
  return (text) => {
    let clean = text
    for (const value of values) clean = clean.replaceAll(value, '***')
    return clean.replace(credentialsInUrl, '$1$2:***@').replace(bearer, '$1 ***').replace(secretParameter, '$1***')
  }
}

/** A secret as it may stand in text: plain, URL-encoded, JSON-escaped, and the password inside a URL. */
function spellings(value: string): readonly string[] {
  const forms = [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^/@:]*:([^/@]+)@/i.exec(value)?.[1]
  if (password !== undefined) forms.push(password, decodeSafely(password))
  return [...new Set(forms)]
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
