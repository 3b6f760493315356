// The package's public face: what a workspace's own `sources/*.ts` import. Loads nothing else.
export { defineSource, type SourceDefinition } from './definition/define-source.js'
