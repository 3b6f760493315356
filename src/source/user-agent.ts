// Owns the name that sources see. It says what this is, and never looks like a browser: bot walls challenge those.
import { readFileSync } from 'node:fs'

/** `api-backfill/<version>`, and what it does. */
export function defaultUserAgent(): string {
  return `api-backfill/${packageVersion()} (copies API rows into Postgres)`
}

/** The package's root is two folders up from the sources and three from what is built of them. */
function packageVersion(): string {
  for (const file of ['../../package.json', '../../../package.json']) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as { version?: string }
      if (version !== undefined) return version
    } catch {
      continue
    }
  }
  return '0'
}
