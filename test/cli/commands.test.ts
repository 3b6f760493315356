// The commands from the outside: what selects what, what is said, and the contracts under snapshot.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Init from '../../commands/init.js'
import Pause from '../../commands/pause.js'
import Resume from '../../commands/resume.js'
import Retry from '../../commands/retry.js'
import Seed from '../../commands/seed.js'
import Sql from '../../commands/sql.js'
import Status from '../../commands/status.js'
import Verify from '../../commands/verify.js'
import Worker from '../../commands/worker.js'
import { flagsOf } from '../../src/cli/dimension-flags.js'
import { reservedFlagNames } from '../../src/domain/reserved-names.js'
import { runCommand, temporaryFolder, writeWorkspace } from './run-command.js'

const all = {
  init: Init,
  pause: Pause,
  resume: Resume,
  retry: Retry,
  seed: Seed,
  sql: Sql,
  status: Status,
  verify: Verify,
  worker: Worker,
}
const five = { retry: Retry, seed: Seed, status: Status, verify: Verify, worker: Worker }

let folder = temporaryFolder()
beforeEach(() => {
  folder = temporaryFolder()
  writeWorkspace(folder.path)
})
afterEach(() => folder.remove())

const here = (): string[] => ['--workspace', folder.path]
const json = async (command: Parameters<typeof runCommand>[0], ...argv: string[]): Promise<unknown> =>
  JSON.parse((await runCommand(command, ...argv, '--json', ...here())).stdout)

describe('contract', () => {
  test('commands and their flags', () => {
    const contract = Object.fromEntries(
      Object.entries(all).map(([name, command]) => [
        name,
        Object.entries({ ...command.baseFlags, ...command.flags })
          .map(
            ([flag, definition]) =>
              `--${flag}${definition.type === 'option' ? ' VALUE' : ''}${definition.env === undefined ? '' : ` ${definition.env}`}${definition.hidden === true ? ' (hidden)' : ''}`,
          )
          .sort(),
      ]),
    )
    expect(contract).toMatchSnapshot()
  })

  test('every flag of the five is a reserved name, so that no dimension can override it', () => {
    for (const command of Object.values(five)) {
      for (const name of Object.keys({ ...command.baseFlags, ...command.flags }))
        expect(reservedFlagNames).toContain(name)
    }
  })

  test('a flag of two commands has one twin, and selections and --force have none', () => {
    const twins = new Map<string, string>()
    for (const command of Object.values(all)) {
      for (const [name, { env }] of Object.entries({ ...command.baseFlags, ...command.flags })) {
        if (env !== undefined) expect(env).toBe(`BACKFILL_${name.toUpperCase().replaceAll('-', '_')}`)
        expect(twins.get(name) ?? env ?? 'none').toBe(env ?? 'none')
        twins.set(name, env ?? 'none')
      }
    }
    for (const name of ['all', 'force', 'partition', 'task', 'code']) expect(twins.get(name)).toBe('none')
  })

  test('summaries are lower-case fragments, and every command has an example', () => {
    for (const command of Object.values(all)) {
      const texts = [
        command.summary,
        ...Object.values({ ...command.baseFlags, ...command.flags }).flatMap((flag) =>
          flag.hidden === true ? [] : [flag.summary ?? ''],
        ),
      ]
      for (const text of texts) expect(text).toMatch(/^[^A-Z\s][^]*[^.]$|^exit/)
      expect(command.examples.length).toBeGreaterThan(0)
    }
  })
})

describe('selection', () => {
  test('a dimension is a flag in kebab-case and as written, an alias is its value', async () => {
    const kebab = await json(Seed, 'city.pages', '--document-type', 'agenda', '--town', 'alpha')
    expect(kebab).toMatchObject({ created: 1 })
    const written = await json(Seed, 'city.pages', '--document_type', 'agendas', '--town', 'alpha')
    expect(written).toMatchObject({ created: 0, already_open: 1 })
    const partition = await json(
      Seed,
      'city.pages',
      '--partition',
      'document_type=minutes',
      '--partition',
      'town=alpha',
    )
    expect(partition).toMatchObject({ created: 1 })
  })

  test('a repeated dimension flag does not swallow the source that follows it', async () => {
    expect(await json(Seed, '--town', 'alpha', '--town', 'beta', 'city.pages')).toMatchObject({ created: 4 })
  })

  test('BACKFILL_WORKSPACE is the twin of --workspace', async () => {
    process.env.BACKFILL_WORKSPACE = folder.path
    try {
      expect((await runCommand(Seed, 'city')).stdout).toContain('city.towns: 1 task made')
    } finally {
      delete process.env.BACKFILL_WORKSPACE
    }
  })

  test('the flags of the dimensions say their values', () => {
    const dimension = { kind: 'list', values: ['a', 'b'], fromConfig: null, exclude: [], aliases: { aa: 'a' } } as const
    const source = { name: 's', dimensions: { big_town: dimension } }
    expect(flagsOf({ sources: { s: source } } as never)['big-town']?.summary).toBe('a, b (also aa), of s')
  })
})

describe('seed', () => {
  test('is idempotent and says what is open', async () => {
    expect((await runCommand(Seed, 'city', ...here())).stdout).toBe(
      'city.pages: 4 tasks made\ncity.towns: 1 task made\nNext: run "backfill worker", or wait for cron\n',
    )
    const again = (await runCommand(Seed, 'city.towns', ...here())).stdout
    expect(again).toMatch(
      /^city\.towns: 0 tasks made, 1 open already\n {2}city\.towns is waiting for a worker since \d\d:\d\d, task 5\n$/,
    )
  })

  test('takes partitions from a file', async () => {
    const file = join(folder.path, 'towns.txt')
    writeFileSync(file, '{"town":"alpha","document_type":"agendas"}\n')
    expect(await json(Seed, 'city.pages', '--from-file', file)).toMatchObject({ created: 1 })
    expect((await runCommand(Seed, 'city.pages', '--from-file', join(folder.path, 'none'), ...here())).exitCode).toBe(2)
  })

  test('--json has its shape', async () => {
    expect(shapeOf(await json(Seed, 'city'))).toMatchSnapshot()
  })
})

describe('status', () => {
  test('says that nothing is queued where nothing is', async () => {
    await runCommand(Init, '--workspace', join(folder.path, 'new'))
    const ran = await runCommand(Status, '--workspace', join(folder.path, 'new'))
    expect(ran).toMatchObject({ exitCode: 0, stderr: '' })
    expect(ran.stdout).toContain('● nothing is queued')
  })

  test('--json has its shape', async () => {
    await runCommand(Seed, 'city', ...here())
    expect(shapeOf(await json(Status))).toMatchSnapshot()
  })

  test('a dimension lists the tasks of its partitions', async () => {
    await runCommand(Seed, 'city', ...here())
    const ran = await runCommand(Status, 'city.pages', '--town', 'beta', ...here())
    expect(ran.stdout.match(/#\d+ +city\.pages +beta/g)).toHaveLength(2)
    expect(ran.stdout).not.toContain('alpha')
  })

  test('--task shows one task, by number and by id', async () => {
    await runCommand(Seed, 'city', ...here())
    const byNumber = (await json(Status, '--task', '2')) as { task: { id: string } }
    expect(await json(Status, '--task', byNumber.task.id)).toEqual(byNumber)
    expect(shapeOf(byNumber)).toMatchSnapshot()
    expect((await runCommand(Status, '--task', '99', ...here())).exitCode).toBe(2)
  })

  test('never needs colours: without a terminal there is no escape sequence', async () => {
    await runCommand(Seed, 'city', ...here())
    expect((await runCommand(Status, ...here())).stdout).not.toContain('\u001b')
  })
})

describe('retry', () => {
  test('says where nothing is dead, and refuses a task that is not', async () => {
    await runCommand(Seed, 'city', ...here())
    expect((await runCommand(Retry, '--all', ...here())).stdout).toBe('No dead task matches\n')
    const ran = await runCommand(Retry, '--task', '1', ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('found task 1 ready, not dead')
  })
})

describe('init', () => {
  test('makes a workspace that loads, with secrets only its owner can read', async () => {
    const made = join(folder.path, 'made')
    const ran = await runCommand(Init, '--workspace', made, '--database', 'postgres://me:hunter22secret@db.example/x')
    expect(ran.exitCode).toBe(0)
    expect(statSync(join(made, '.env')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(made, '.env'), 'utf8')).toContain('DATABASE_URL=postgres://me:hunter22secret@db.example/x')
    expect(readFileSync(join(made, 'backfill.yaml'), 'utf8')).toContain('database: $DATABASE_URL')
    expect(ran.stdout).not.toContain('hunter22secret')
    expect((await runCommand(Status, '--workspace', made)).exitCode).toBe(0)
  })

  test('overwrites nothing', async () => {
    const before = readFileSync(join(folder.path, 'backfill.yaml'), 'utf8')
    const ran = await runCommand(Init, ...here())
    expect(ran.exitCode).toBe(2)
    expect(readFileSync(join(folder.path, 'backfill.yaml'), 'utf8')).toBe(before)
  })

  test('lists a shipped source with the lists it wants, and refuses one that is not shipped', async () => {
    const { shippedSourceNames } = await import('../../src/workspace/shipped-sources.js')
    const [name = ''] = shippedSourceNames()
    const made = join(folder.path, 'shipped')
    expect(await runCommand(Init, '--workspace', made, '--source', name)).toMatchObject({ exitCode: 0, stderr: '' })
    expect(readFileSync(join(made, 'backfill.yaml'), 'utf8')).toContain(`  ${name}:\n`)
    // What is still to be filled in is named with its line by whatever runs first.
    expect((await runCommand(Status, '--workspace', made)).stderr).toMatch(/backfill\.yaml:\d+: sources\./)
    const wrong = await runCommand(Init, '--workspace', join(folder.path, 'w'), '--source', 'nope')
    expect(wrong.exitCode).toBe(2)
    expect(wrong.stderr).toContain(`shipped: ${name}`)
  })

  test('its example source is a definition that seeds', async () => {
    const made = join(folder.path, 'example')
    await runCommand(Init, '--workspace', made)
    mkdirSync(join(made, 'sources'), { recursive: true })
    writeFileSync(join(made, 'sources', 'acme.yaml'), readFileSync(join(made, 'sources', 'acme.yaml.example'), 'utf8'))
    expect((await runCommand(Seed, '--workspace', made)).stdout).toContain('acme.users: 1 task made')
  })
})

/** The document with its values' types in their place, so that a snapshot holds the contract and not the moment. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])]
  if (value === null) return 'null'
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, shapeOf(child)]))
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? 'instant' : typeof value
}
