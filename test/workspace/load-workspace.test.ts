import { chmodSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/domain/errors.js'
import { requireDatabase } from '../../src/workspace/database.js'
import { loadWorkspace } from '../../src/workspace/load-workspace.js'
import { acmeYaml, workspaceFolder, writeFiles } from './workspace-folder.js'

const cacheOf = (directory: string) => join(directory, '.backfill/cache/workspace.json')
const load = (directory: string, environment: Record<string, string> = {}) => loadWorkspace({ directory, environment })
async function refusal(promise: Promise<unknown>): Promise<ConfigError> {
  const error: unknown = await promise.then(
    () => null,
    (failure: unknown) => failure,
  )
  if (error instanceof ConfigError) return error
  throw new Error('nothing was refused', { cause: error })
}

describe('a workspace', () => {
  it('has defaults for everything that backfill.yaml leaves out', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': '', 'sources/acme.yaml': acmeYaml })
    const workspace = await load(directory)
    expect(workspace).toMatchObject({
      directory,
      queueFile: join(directory, 'queue.db'),
      stateDirectory: join(directory, '.backfill'),
      database: null,
      schema: 'public',
      deltaPrefix: 'delta_',
      logLevel: 'info',
      metrics: { enabled: true, intervalMs: 300_000 },
      maxRuntimeMs: null,
      timezone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
    })
    expect(Object.keys(workspace.sources)).toEqual(['acme'])
    expect(Object.isFrozen(workspace.sources.acme?.streams.users?.settings)).toBe(true)
  })

  it('is looked for in the folder named, else by BACKFILL_WORKSPACE', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': 'schema: archive' })
    expect((await loadWorkspace({ environment: { BACKFILL_WORKSPACE: directory } })).schema).toBe('archive')
    const empty = workspaceFolder({})
    const error = await refusal(load(empty, { BACKFILL_WORKSPACE: directory }))
    expect(error).toMatchObject({
      code: 'no_workspace',
      message: `find the workspace found no backfill.yaml in "${empty}"`,
    })
    expect(error.hint).toContain('backfill init')
    expect(await refusal(load(join(empty, 'nowhere')))).toMatchObject({ code: 'no_workspace' })
  })

  it('has the shipped sources that it lists, and its own', async () => {
    const settings = 'sources: { civicband: { subdomains: [oakland.ca] } }'
    const { sources } = await load(workspaceFolder({ 'backfill.yaml': settings, 'sources/acme.yml': acmeYaml }))
    expect(Object.keys(sources)).toEqual(['civicband', 'acme'])
    expect(sources.civicband?.file).toBe('(built in) civicband')
    expect(sources.civicband?.dimensions.subdomain).toMatchObject({ values: ['oakland.ca'] })
  })

  it('that lists an unknown source is refused with those there are', async () => {
    const error = await refusal(load(workspaceFolder({ 'backfill.yaml': 'sources:\n  civicbnd: {}\n' })))
    expect(error.problems).toMatchObject([
      { file: 'backfill.yaml', line: 2, path: 'sources.civicbnd', found: '"civicbnd"' },
    ])
    expect(error.problems[0]?.expected).toContain('"civicband"')
  })

  it('is refused with the mistakes of all its files at once, backfill.yaml first', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': 'log_level: loud\ntimezone: Mars/Olympus\ntransactions: false\n',
      'sources/b.yaml': acmeYaml.replace('id: int', 'id: integr'),
      'sources/c.yaml': 'source: [\n',
      'sources/d.ts': 'export default {',
    })
    const error = await refusal(load(directory))
    expect(error).toMatchObject({ code: 'invalid_definition', message: 'read 4 files found 6 mistakes' })
    expect(error.problems.map(({ file, line, path }) => `${file}:${line ?? '-'} ${path}`)).toEqual([
      'backfill.yaml:1 log_level',
      'backfill.yaml:2 timezone',
      'backfill.yaml:3 transactions',
      'sources/b.yaml:5 streams.users.columns.id',
      expect.stringMatching(/^sources\/c\.yaml:\d column/),
      'sources/d.ts:1 ',
    ])
    expect(error.problems[2]?.expected).toContain('always promoted in one transaction')
  })

  it("with two streams on one table, or on another one's delta table, is refused", async () => {
    const other = (table: string) =>
      acmeYaml.replace('source: acme', 'source: other').replace('key: id,', `key: id, table: ${table},`)
    for (const table of ['users', 'public.users', 'delta_users']) {
      const directory = workspaceFolder({
        'backfill.yaml': '',
        'sources/acme.yaml': acmeYaml,
        'sources/other.yaml': other(table),
      })
      const { problems } = await refusal(load(directory))
      expect(problems).toMatchObject([
        {
          file: 'sources/acme.yaml',
          path: 'streams.users.table',
          expected: 'a table of its own, like "table: acme_users"',
        },
        {
          file: 'sources/other.yaml',
          path: 'streams.users.table',
          expected: 'a table of its own, like "table: other_users"',
        },
      ])
    }
    const apart = { 'backfill.yaml': '', 'sources/acme.yaml': acmeYaml, 'sources/other.yaml': other('archive.users') }
    expect(Object.keys((await load(workspaceFolder(apart))).sources)).toEqual(['acme', 'other'])
  })

  it('goes on without a definition that has mistakes, and names them', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/acme.yaml': acmeYaml,
      'sources/bad.yaml': acmeYaml
        .replace('source: acme', 'source: bad')
        .replace('key: id,', 'key: id, table: bad,')
        .replace('id: int', 'id: integr'),
      'sources/unreadable.yaml': 'source: [\n',
    })
    for (const start of ['cold', 'warm']) {
      const workspace = await load(directory)
      expect(Object.keys(workspace.sources), start).toEqual(['acme'])
      expect(workspace.broken).toMatchObject([
        { file: 'sources/bad.yaml', name: 'bad', problems: [{ path: 'streams.users.columns.id' }] },
        { file: 'sources/unreadable.yaml', name: null, problems: [{ line: 2 }] },
      ])
    }
  })

  it('works on neither of two definitions of one source', async () => {
    const other = acmeYaml.replace('source: acme', 'source: other').replace('key: id,', 'key: id, table: other,')
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/a.yaml': acmeYaml,
      'sources/b.yaml': acmeYaml,
      'sources/c.yaml': other,
    })
    expect(Object.keys((await load(directory)).sources)).toEqual(['other'])
  })

  it('with two definitions of one source is refused', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': '', 'sources/a.yaml': acmeYaml, 'sources/b.yaml': acmeYaml })
    expect((await refusal(load(directory))).problems).toMatchObject([
      { file: 'sources/b.yaml', path: 'source', found: '"acme", as in sources/a.yaml' },
    ])
  })
})

describe('the environment', () => {
  const token = (workspace: { readonly environment: Readonly<Record<string, string | undefined>> }) =>
    workspace.environment.ACME_TOKEN

  it('is the process over .env, an empty variable counting as none', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': '', '.env': 'ACME_TOKEN="from file"\nOTHER=1 # words\n' })
    expect(token(await load(directory))).toBe('from file')
    expect(token(await load(directory, { ACME_TOKEN: 'from process' }))).toBe('from process')
    expect(token(await load(directory, { ACME_TOKEN: '' }))).toBe('from file')
  })

  it('lays its BACKFILL_ twins over backfill.yaml, from .env too', async () => {
    const files = {
      'backfill.yaml': 'schema: a\nlog_level: warn\nmax_runtime: 1h\nsources: { acme: { page_size: 5, claim: 5 } }',
      'sources/acme.yaml': acmeYaml,
      '.env': 'BACKFILL_CLAIM=6\nBACKFILL_PAGE_SIZE=6\n',
    }
    const workspace = await load(workspaceFolder(files), {
      BACKFILL_SCHEMA: 'b',
      BACKFILL_LOG_LEVEL: 'ERROR',
      BACKFILL_MAX_RUNTIME: '5m',
      BACKFILL_PAGE_SIZE: '1,000',
      BACKFILL_FLUSH_BYTES: '1MiB',
      BACKFILL_FOREIGN_KEYS: 'off',
      BACKFILL_DELAY: '3s',
      BACKFILL_TIMEZONE: 'Europe/Berlin',
      BACKFILL_METRICS_ENABLED: 'false',
      BACKFILL_UNKNOWN: 'x',
    })
    expect(workspace).toMatchObject({
      schema: 'b',
      logLevel: 'error',
      maxRuntimeMs: 300_000,
      timezone: 'Europe/Berlin',
      metrics: { enabled: false },
    })
    expect(workspace.sources.acme?.budget.delayMs).toBe(3000)
    const users = workspace.sources.acme?.streams.users
    expect(users?.table.schema).toBe('b')
    expect(users?.settings).toMatchObject({
      claim: 6,
      pageSize: 1000,
      checksForeignKeys: false,
      delayMs: 3000,
      flush: { rows: 10_000, bytes: 1_048_576 },
    })
  })

  it('with values that cannot be read is refused, all at once', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': '' })
    const error = await refusal(
      load(directory, {
        BACKFILL_CLAIM: 'ten',
        BACKFILL_TIMEOUT: '5',
        BACKFILL_LOG_LEVEL: 'loud',
        BACKFILL_PAGE_SIZE: '0',
      }),
    )
    expect(error.code).toBe('invalid_environment')
    expect(error.problems.map(({ path }) => path).sort()).toEqual([
      'BACKFILL_CLAIM',
      'BACKFILL_LOG_LEVEL',
      'BACKFILL_PAGE_SIZE',
      'BACKFILL_TIMEOUT',
    ])
  })

  it('has no twin for dimensions, force and all', async () => {
    const directory = workspaceFolder({ 'backfill.yaml': '', 'sources/acme.yaml': acmeYaml })
    const plain = await load(directory)
    const { sources, database } = await load(directory, {
      BACKFILL_ALL: 'true',
      BACKFILL_FORCE: 'true',
      BACKFILL_KIND: 'a',
    })
    expect({ sources, database }).toEqual({ sources: plain.sources, database: plain.database })
  })
})

describe('the database', () => {
  const database = async (settings: string, environment: Record<string, string> = {}) => {
    const workspace = await load(workspaceFolder({ 'backfill.yaml': settings }), environment)
    try {
      return requireDatabase(workspace)
    } catch (error) {
      if (error instanceof ConfigError) return `${error.code}: ${error.message}`
      throw error
    }
  }
  const url = 'postgres://me:s3cret@host/db'

  it('is what backfill.yaml says: embedded, a variable, or an address with variables in it', async () => {
    expect(await database('database: embedded')).toEqual({ kind: 'embedded' })
    expect(await database('database: $DATABASE_URL', { DATABASE_URL: url })).toEqual({ kind: 'server', url })
    expect(await database('database: ${DATABASE_URL}', { DATABASE_URL: url })).toEqual({ kind: 'server', url })
    expect(await database(`database: '${url}' # ours`)).toEqual({ kind: 'server', url })
    expect(await database('schema: a\ndatabase: postgres://me:$PASSWORD@host/db', { PASSWORD: 'a/b' })).toEqual({
      kind: 'server',
      url: 'postgres://me:a%2Fb@host/db',
    })
  })

  it('is what BACKFILL_DATABASE says, and never DATABASE_URL by itself', async () => {
    expect(await database('database: embedded', { BACKFILL_DATABASE: url })).toEqual({ kind: 'server', url })
    expect(await database('', { DATABASE_URL: url })).toBe('no_database: open the database found none configured')
  })

  it('that is not there is a mistake only of a command that needs it', async () => {
    expect(await database('database: $DATABASE_URL')).toBe(
      'missing_environment: open the database found no variable "DATABASE_URL" in the environment or .env',
    )
    expect(await database('database: postgres://$ME@host/db')).toMatch(/^missing_environment: .*"ME"/)
    expect(await database('database: $DATABASE_URL', { DATABASE_URL: 'mysql://s3cret' })).toBe(
      'bad_database: open the database found no address in DATABASE_URL',
    )
  })

  it.each([
    'postgres://me:s3#cret@host/db',
    'postgres://me:s3/cret@host/db',
    'postgres://me:5432/cret@host/db',
    'postgres://me:s3?cret@host/db',
    'postgres://me:54?cret@host/db',
    'postgres://me:s3%cret@host/db',
    'postgres://me:s3cret@host:port/db',
  ])(
    'with a sign in its password that means something else is refused with the signs to write, unseen: %s',
    async (bad) => {
      const workspace = await load(workspaceFolder({ 'backfill.yaml': 'database: $DATABASE_URL' }), {
        DATABASE_URL: bad,
      })
      const { databaseProblem } = workspace as { databaseProblem?: ConfigError }
      expect(databaseProblem?.code).toBe('bad_database')
      expect(databaseProblem?.hint).toContain('%23 (#)')
      expect(JSON.stringify([databaseProblem?.message, databaseProblem?.hint])).not.toContain('cret')
    },
  )

  it.each([
    'postgres://me:s%23%2Fcret@host:5432/db?sslmode=require',
    'postgres://me:a@b@host/db',
    'postgresql://me@/db?host=%2Frun%2Fpg&port=5432',
    'postgresql:///db?host=/run/pg&user=a@b',
    'postgres://host',
    'postgres://me:x@[::1]:5432/db',
  ])('that can be read is taken as it is: %s', async (good) => {
    expect(await database('database: $DATABASE_URL', { DATABASE_URL: good })).toEqual({ kind: 'server', url: good })
  })

  it('that is neither is refused without being shown', async () => {
    const error = await refusal(load(workspaceFolder({ 'backfill.yaml': 'database: mysql://me:s3cret@host/db' })))
    expect(JSON.stringify([error.message, error.problems])).not.toContain('s3cret')
    expect(error.problems).toMatchObject([{ line: 1, path: 'database' }])
  })
})

describe('the cache', () => {
  const settings = `database: postgres://me:s3cret@host/db\nsources: { acme: { page_size: 5 } }\n`
  const files = {
    'backfill.yaml': settings,
    'sources/acme.yaml': acmeYaml,
    '.env': 'ACME_TOKEN=t0ken-value\nBACKFILL_CLAIM=77\n',
  }

  it('gives the same workspace as the files do', async () => {
    const directory = workspaceFolder(files)
    const cold = await load(directory)
    expect(statSync(cacheOf(directory)).mode & 0o777).toBe(0o600)
    expect(await load(directory)).toEqual({ ...cold, areNotesNew: false })
    expect(cold.notes?.[0]).toContain('password')
  })

  it('is what a warm load reads', async () => {
    const directory = workspaceFolder(files)
    await load(directory)
    const cache = readFileSync(cacheOf(directory), 'utf8')
    writeFileSync(cacheOf(directory), cache.replace('https://acme.example', 'https://from.cache'))
    expect((await load(directory)).sources.acme?.baseUrl).toBe('https://from.cache')
  })

  it('holds no value of the environment and no address of a database', async () => {
    const directory = workspaceFolder(files)
    const workspace = await load(directory, { OTHER: 'pr0cess-value' })
    expect(workspace.database).toEqual({ kind: 'server', url: 'postgres://me:s3cret@host/db' })
    const text = readFileSync(cacheOf(directory), 'utf8')
    for (const secret of ['s3cret', 't0ken-value', 'pr0cess-value', 'postgres://']) expect(text).not.toContain(secret)
  })

  it.each<readonly [string, (directory: string) => void]>([
    ['backfill.yaml changes', (directory) => writeFiles(directory, { 'backfill.yaml': settings.replace('5', '6') })],
    [
      'a definition changes',
      (directory) =>
        writeFiles(directory, { 'sources/acme.yaml': acmeYaml.replace('id:', 'xx:').replace('key: id', 'key: xx') }),
    ],
    ['a definition is touched', (directory) => utimesSync(join(directory, 'sources/acme.yaml'), 1, 1)],
    [
      'a definition comes',
      (directory) =>
        writeFiles(directory, {
          'sources/new.yaml': acmeYaml.replace('acme', 'new').replace('key: id', 'key: id, table: t'),
        }),
    ],
    ['a file beside the definitions comes', (directory) => writeFiles(directory, { 'sources/lib/rows.ts': '' })],
    ['it is broken', (directory) => writeFileSync(cacheOf(directory), '{')],
  ])('is not believed when %s', async (_what, change) => {
    const directory = workspaceFolder(files)
    await load(directory)
    const marked = readFileSync(cacheOf(directory), 'utf8').replace('https://acme.example', 'https://from.cache')
    writeFileSync(cacheOf(directory), marked)
    change(directory)
    expect((await load(directory)).sources.acme?.baseUrl).toBe('https://acme.example')
  })

  it('is not believed in a copy of the workspace', async () => {
    const directory = workspaceFolder(files)
    await load(directory)
    const link = join(workspaceFolder({}), 'link')
    symlinkSync(directory, link)
    expect((await load(link)).directory).toBe(link)
  })

  it('that cannot be written is done without', async () => {
    const directory = workspaceFolder({ ...files, '.backfill': 'a file where the folder would be' })
    expect((await load(directory)).sources.acme?.streams.users?.settings.pageSize).toBe(5)
    expect(readFileSync(join(directory, '.backfill'), 'utf8')).toBe('a file where the folder would be')
  })

  it('leaves no mistake behind: a definition put right is read at once', async () => {
    const directory = workspaceFolder({ ...files, 'sources/acme.yaml': acmeYaml.replace('int', 'integr') })
    await refusal(load(directory))
    expect(existsSync(cacheOf(directory))).toBe(false)
    writeFiles(directory, { 'sources/acme.yaml': acmeYaml })
    expect(Object.keys((await load(directory)).sources)).toEqual(['acme'])
  })
})

describe("a workspace's own TypeScript", () => {
  const typed = (url: string, before = '') => `import { defineSource } from 'api-backfill'
${before}
const name: string = 'acme'
export default defineSource({ source: name, baseUrl: ${url}, streams: { users: { path: '/users', key: 'id' } } })
`
  const baseUrl = async (directory: string, environment = {}) =>
    (await load(directory, environment)).sources.acme?.baseUrl

  it.each(['ts', 'mjs', 'js'])('is loaded from .%s without packages in the workspace', async (extension) => {
    const text =
      extension === 'ts' ? typed("'https://a.example'") : typed("'https://a.example'").replace(': string', '')
    expect(await baseUrl(workspaceFolder({ 'backfill.yaml': '', [`sources/acme.${extension}`]: text }))).toBe(
      'https://a.example',
    )
  })

  it('is read again when a file that it imports changes, inside sources/ or not', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/acme.ts': typed('near + far', "import { near } from './lib/near.ts'\nimport { far } from '../far.ts'"),
      'sources/lib/near.ts': "export const near = 'https://a'",
      'far.ts': "export const far = '.example'",
    })
    expect(await baseUrl(directory)).toBe('https://a.example')
    writeFiles(directory, { 'far.ts': "export const far = '.other.example'" })
    expect(await baseUrl(directory)).toBe('https://a.other.example')
    writeFiles(directory, { 'sources/lib/near.ts': "export const near = 'https://b'" })
    expect(await baseUrl(directory)).toBe('https://b.other.example')
  })

  it('that looks at the process is evaluated each time and leaves nothing of it in the cache', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/acme.ts': typed('`https://${process.title.length}.example`'),
    })
    expect(await baseUrl(directory)).toMatch(/^https:\/\/\d+\.example$/)
    expect(existsSync(cacheOf(directory))).toBe(false)
  })

  it('is refused with line and column where it throws, does not parse or exports nothing', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/a.ts': 'const one = 1\nconst two = one.nothing.more\nexport default two\n',
      'sources/b.ts': 'export default {\n  source: a b\n}\n',
      'sources/c.ts': 'export const source = 1\n',
    })
    const { problems } = await refusal(load(directory))
    expect(problems.map(({ file, line, found }) => `${file}:${line ?? '-'} ${found}`)).toEqual([
      expect.stringMatching(/^sources\/a\.ts:2 TypeError: .*\(column \d+\)$/),
      expect.stringMatching(/^sources\/b\.ts:2 ParseError: .*\(column \d+\)$/),
      'sources/c.ts:- no default export',
    ])
  })

  it('leaves files alone that are no definitions', async () => {
    const directory = workspaceFolder({
      'backfill.yaml': '',
      'sources/acme.yaml': acmeYaml,
      'sources/_draft.yaml': 'source: [',
      'sources/types.d.ts': 'export {}',
      'sources/README.md': '#',
      'sources/lib/deep.yaml': 'source: [',
    })
    expect(Object.keys((await load(directory)).sources)).toEqual(['acme'])
  })
})

it.skipIf(process.getuid?.() === 0)('says which file it may not read', async () => {
  const directory = workspaceFolder({ 'backfill.yaml': '', '.env': 'A=1' })
  chmodSync(join(directory, '.env'), 0)
  expect(await refusal(load(directory))).toMatchObject({ code: 'unreadable_file' })
  rmSync(join(directory, '.env'))
  chmodSync(join(directory, 'backfill.yaml'), 0)
  expect(await refusal(load(directory))).toMatchObject({ code: 'unreadable_file' })
})
