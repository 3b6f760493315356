// Owns which files of `sources/` hold a definition. Loads nothing, because a warm start asks it.

/** True for `acme.yaml`, `.yml`, `.ts`, `.js` and `.mjs`; names that begin with a dot or underscore are the author's own business. */
export function isDefinitionFile(name: string): boolean {
  return /^[^._].*\.(ya?ml|ts|js|mjs)$/.test(name) && !name.endsWith('.d.ts')
}
