import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { sourceJsonSchema, workspaceJsonSchema } from '../../src/definition/json-schema.js'
import { snakeCase } from '../../src/definition/schema-keys.js'
import { type Setting, settingsCatalogue } from '../../src/definition/settings-catalogue.js'
import { budget, settingsShape, sourceSettingsShape } from '../../src/definition/settings-schema.js'
import { compileYaml } from './compile-yaml.js'

const nested = ({ key, example }: Pick<Setting, 'key' | 'example'>): string =>
  key.split('.').reduceRight((inner, part) => `{ ${part}: ${inner} }`, example)
const inner = (setting: Setting): string => nested(setting).slice(2, -2)
const source = (extra: string, stream = '') =>
  `source: acme\nbase_url: https://acme.example\n${extra}\nstreams:\n  users: { path: /users, key: id${stream} }\n`

describe('every setting of the catalogue', () => {
  const of = (scope: Setting['scope']) => settingsCatalogue.filter((setting) => setting.scope === scope)

  it.each(of('workspace'))('$key is accepted at the top of backfill.yaml', (setting) => {
    expect(compileYaml(source(''), inner(setting)).lines).toEqual([])
  })

  it.each(of('stream'))(
    '$key is accepted for all sources, a source and a stream, in definition and backfill.yaml',
    (setting) => {
      const text = inner(setting)
      expect(compileYaml(source(text, `, ${text}`)).lines).toEqual([])
      const settings = `defaults: { ${text} }\nsources: { acme: { ${text}, streams: { users: { ${text} } } } }`
      expect(compileYaml(source(''), settings).lines).toEqual([])
    },
  )

  it.each(of('source'))('$key is accepted for all sources and a source, in definition and backfill.yaml', (setting) => {
    const text = inner(setting)
    expect(compileYaml(source(text)).lines).toEqual([])
    expect(compileYaml(source(''), `defaults: { ${text} }\nsources: { acme: { ${text} } }`).lines).toEqual([])
    expect(compileYaml(source('', `, ${text}`)).lines).not.toEqual([])
  })

  it.each(of('budget'))('$key is accepted in a definition and in backfill.yaml', (setting) => {
    expect(compileYaml(source(inner(setting)), `sources: { acme: ${nested(setting)} }`).lines).toEqual([])
  })

  it('is there for every key that the schema has, and for no other', () => {
    const flush = Object.keys(settingsShape.flush.shape).map((key) => `flush.${key}`)
    const settings = Object.keys(settingsShape)
      .filter((key) => key !== 'flush')
      .map(snakeCase)
    const park = Object.keys(sourceSettingsShape.park.unwrap().shape).map((key) => `park.${key}`)
    const rules = budget.options[1].shape
    const budgets = Object.keys(rules).map((key) => `budget.${snakeCase(key)}`)
    const keys = settingsCatalogue.filter(({ scope }) => scope !== 'workspace').map(({ key }) => key)
    expect([...keys].sort()).toEqual([...settings, ...flush, ...park, ...budgets].sort())
  })

  it('stands for every constant of the replaced scripts', () => {
    const seeds = settingsCatalogue.map(({ seed }) => seed ?? '').join('\n')
    const constants = [
      ...['FETCH_BATCH_SIZE=10', 'FETCH_DELAY_SECONDS=2', 'MAX_RETRIES=3', 'RETRY_DELAY=5', 'POLL_INTERVAL=300'],
      ...['TABLE_PREFIX="delta_"', 'BATCH_SIZE_LOAD=100', 'VALIDATE_FOREIGN_KEYS=true', 'USE_TRANSACTIONS=true'],
      ...['ENABLE_METRICS=true', 'METRIC_INTERVAL=300', 'LOG_LEVEL=INFO'],
    ]
    for (const constant of constants) expect(seeds).toContain(`BACKLOG_${constant}`)
    for (const words of ['1s, 2s, 4s', '120s', '3 attempts', '1000 records', '--batch-size'])
      expect(seeds).toContain(words)
  })
})

describe('the published JSON Schemas', () => {
  it.each([
    ['source', sourceJsonSchema()],
    ['workspace', workspaceJsonSchema()],
  ])('%s is the file that editors read', async (name, schema) => {
    const path = `src/definition/schema/${name}.schema.json`
    const { stdout } = await execa('node_modules/.bin/biome', ['format', `--stdin-file-path=${path}`], {
      input: JSON.stringify(schema, null, 2),
    })
    // Written anew by `vitest run -u`.
    await expect(`${stdout}\n`).toMatchFileSnapshot(`../../${path}`)
  })

  it('have the keys as YAML has them', () => {
    const text = JSON.stringify([sourceJsonSchema(), workspaceJsonSchema()])
    expect(text).toContain('"page_size"')
    expect(
      [...text.matchAll(/"([a-z]+[A-Z]\w*)":/g)]
        .map((match) => match[1])
        .filter((key) => !jsonSchemaWords.has(key ?? '')),
    ).toEqual([])
    expect(z.toJSONSchema(z.string())).toMatchObject({ $schema: sourceJsonSchema().$schema })
  })
})

const jsonSchemaWords = new Set([
  'additionalProperties',
  'anyOf',
  'minLength',
  'maxLength',
  'propertyNames',
  'minItems',
  'maxItems',
  'exclusiveMinimum',
  'allOf',
  'oneOf',
])
