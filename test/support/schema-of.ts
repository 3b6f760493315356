/** The JSON Schema that an editor would find by the first line of a YAML file: read as the language server reads it, up to the first space. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @throws where the first line names none, or there is no such file */
export function schemaOf(text: string): { readonly title?: string; readonly properties?: object } {
  const named = /^# yaml-language-server: .*?\$schema=(\S+)/.exec(text)?.[1]
  if (named === undefined) throw new Error(`no schema in ${text.slice(0, 100)}`)
  const file = named.startsWith('file:') ? fileURLToPath(named) : named
  return JSON.parse(readFileSync(file, 'utf8')) as { title?: string; properties?: object }
}
