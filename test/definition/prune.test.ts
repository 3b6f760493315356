/** When a mirrored stream may delete, as a definition says it. */
import { describe, expect, it } from 'vitest'
import { compileYaml } from './compile-yaml.js'

const yaml = (prune: string) =>
  `source: acme
base_url: https://api.acme.example
dimensions: { campus: [a, b] }
streams:
  users:
    path: /{campus}/users
    key: [campus, id]
    disposition: mirror
    columns: { campus: { type: text, dimension: campus }, id: bigint }
${prune}`

const rulesOf = (prune: string) => {
  const { source, lines } = compileYaml(yaml(prune))
  expect(lines).toEqual([])
  return source?.streams.users?.prune
}

describe('prune', () => {
  it('walks again and lets five per cent go, where nothing is said', () => {
    expect(rulesOf('')).toEqual({ confirm: 'again', most: { share: 0.05 }, cascades: false })
  })

  it('takes a share, a number of rows, and the names of the key in its request', () => {
    expect(rulesOf('    prune: { confirm: later, most: 10%, cascades: true }')).toEqual({
      confirm: 'later',
      most: { share: 0.1 },
      cascades: true,
    })
    expect(
      rulesOf("    prune: { most: { rows: 3 }, confirm: { path: '/{campus}/users/{id}', gone: [410] } }"),
    ).toMatchObject({
      most: { rows: 3 },
      confirm: { request: { method: 'GET', path: '/{campus}/users/{id}' }, gone: [410] },
    })
  })

  it.each([
    ["    prune: { confirm: { path: '/users/{ids}' } }", 'a dimension'],
    ['    prune: { confirm: twice }', 'again, later'],
    ['    prune: { confirm: { gone: [404] } }', 'a path that begins with /'],
    ['    prune: { most: 500% }', 'a share like 5%'],
  ])('refuses %s', (prune, expected) => {
    const { lines } = compileYaml(yaml(prune))
    expect(lines.join('\n')).toContain(expected)
  })
})
