import { expect, it } from 'vitest'
import { sourceJsonSchema, workspaceJsonSchema } from '../../src/definition/json-schema.js'

it('an editor is told of a value that is no text, number, true or false, as loading is', () => {
  const anything: string[] = []
  const look = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    for (const [key, child] of Object.entries(node)) {
      const isAlternative = path.endsWith('anyOf')
      if (isAlternative && JSON.stringify(child) === '{}') anything.push(`${path}.${key}`)
      look(child, `${path}.${key}`)
    }
  }
  look(sourceJsonSchema(), 'source')
  look(workspaceJsonSchema(), 'workspace')
  expect(anything).toEqual([])
})
