// Owns the line by which an editor finds the JSON Schema of a file that it completes and checks. Pure.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * First line of a YAML file. @param root folder of this package @param kind `source`: a file in sources/; `workspace`: backfill.yaml
 */
export function schemaLine(root: string, kind: 'source' | 'workspace'): string {
  const path = join(root, 'src', 'definition', 'schema', `${kind}.schema.json`)
  // Editors read up to the first space; as an address it has none.
  return `# yaml-language-server: $schema=${/^[\w@+=:,./-]+$/.test(path) ? path : pathToFileURL(path).href}`
}
