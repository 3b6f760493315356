/**
 * The bootstrap behind `npm start` and `npm test`: when it installs, when it compiles, what it says. Works on small trees of its own that
 * borrow this project's node_modules one package at a time; never installs anything.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { build, isBuilt } from '../../bin/bootstrap/build.js'
import { prepareEnvironment } from '../../bin/bootstrap/environment.js'
import { isInstalled } from '../../bin/bootstrap/install.js'
import { explain } from '../../bin/bootstrap/run-tool.js'

const project = path.resolve(import.meta.dirname, '../..')
const stamp = 'node_modules/.backfill-install'

let root: string

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'backfill-bootstrap-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

async function write(file: string, content: string | object): Promise<void> {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true })
  await writeFile(path.join(root, file), typeof content === 'string' ? content : JSON.stringify(content))
}

async function borrow(...names: string[]): Promise<void> {
  await mkdir(path.join(root, 'node_modules/@oclif'), { recursive: true })
  for (const name of names) {
    await symlink(path.join(project, 'node_modules', name), path.join(root, 'node_modules', name))
  }
}

describe('install', () => {
  const lockFile = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.2.3' },
      'node_modules/b': { version: '1.0.0', optional: true },
    },
  }

  beforeEach(async () => {
    await write('package.json', { dependencies: { a: '^1.2.0' } })
    await write('package-lock.json', lockFile)
    await write('node_modules/.package-lock.json', { packages: { 'node_modules/a': { version: '1.2.3' } } })
    await borrow('better-sqlite3', 'bindings', 'file-uri-to-path')
  })

  it('takes over what npm installed by hand, and stamps it', () => {
    expect(isInstalled(root)).toBe(true)
    expect(existsSync(path.join(root, stamp))).toBe(true)
  })

  it('finds nothing to do while the stamp fits', async () => {
    isInstalled(root)
    await rm(path.join(root, 'node_modules/.package-lock.json'))
    expect(isInstalled(root)).toBe(true)
  })

  it('has work to do where the lock file asks for another version', async () => {
    isInstalled(root)
    await write('package-lock.json', { packages: { 'node_modules/a': { version: '1.2.4' } } })
    expect(isInstalled(root)).toBe(false)
  })

  it('has work to do where nothing is installed', async () => {
    await rm(path.join(root, 'node_modules'), { recursive: true })
    expect(isInstalled(root)).toBe(false)
  })

  it("has work to do where SQLite's native part does not load", async () => {
    await rm(path.join(root, 'node_modules/better-sqlite3'))
    await cp(
      path.join(project, 'node_modules/better-sqlite3/lib'),
      path.join(root, 'node_modules/better-sqlite3/lib'),
      { recursive: true },
    )
    await write('node_modules/better-sqlite3/package.json', {
      name: 'better-sqlite3',
      version: '1.0.0',
      main: 'lib/index.js',
    })
    expect(isInstalled(root)).toBe(false)
  })
})

// Three runs of the compiler: seconds on an idle machine, more on a busy one.
describe('build', { timeout: 120_000 }, () => {
  beforeEach(async () => {
    await write('package.json', {
      name: 'sample',
      version: '1.0.0',
      type: 'module',
      oclif: { commands: './dist/commands' },
    })
    await cp(path.join(project, 'tsconfig.json'), path.join(root, 'tsconfig.json'))
    await write('package-lock.json', {})
    for (const name of ['build', 'bundle', 'manifest']) await write(`bin/bootstrap/${name}.js`, '')
    await write('src/one.ts', 'export const one = 1\n')
    await write(
      'commands/two.ts',
      "import { Command } from '@oclif/core'\nexport default class Two extends Command {\n  async run(): Promise<void> {}\n}\n",
    )
    await borrow('typescript', '@types', '@oclif/core', 'chalk', 'cli-table3', 'proper-lockfile', 'yaml')
  })

  it('compiles and bundles once, removes what has no source, restores what was removed by hand', async () => {
    expect(isBuilt(root)).toBe(false)
    await build(root)
    expect(isBuilt(root)).toBe(true)
    expect(existsSync(path.join(root, 'dist/commands/two.js'))).toBe(true)
    expect(existsSync(path.join(root, 'dist/node_modules/@oclif/core/index.js'))).toBe(true)
    expect(await commandsListed()).toEqual(['two'])

    await rm(path.join(root, 'commands/two.ts'))
    await rm(path.join(root, 'dist/src/one.js'))
    expect(isBuilt(root)).toBe(false)
    await build(root)
    expect(existsSync(path.join(root, 'dist/commands/two.js'))).toBe(false)
    expect(existsSync(path.join(root, 'dist/src/one.js'))).toBe(true)
    expect(await commandsListed()).toEqual([])
  })

  async function commandsListed(): Promise<string[]> {
    const text = await readFile(path.join(root, 'dist/oclif.manifest.json'), 'utf8')
    return Object.keys((JSON.parse(text) as { commands: object }).commands)
  }

  it('stays unbuilt where a source does not compile, and shows the compiler', async () => {
    await write('src/one.ts', "export const one: number = 'one'\n")
    await expect(build(root)).rejects.toThrow(/one\.ts\(1,14\): error TS2322[\s\S]*tsc failed \(exit code 2\)/)
    expect(isBuilt(root)).toBe(false)
  })
})

describe('lock', () => {
  it('lets one of many in at a time, a dead holder notwithstanding', async () => {
    const dead = await execa('node', ['-e', 'console.log(process.pid)'])
    await write(`.bootstrap.lock/${dead.stdout}.1`, '')
    await write('diary', '')
    await write(
      'hold.mjs',
      `import { appendFileSync } from 'node:fs'
       import { setTimeout as delay } from 'node:timers/promises'
       import { withLock } from ${JSON.stringify(path.join(project, 'bin/bootstrap/lock.js'))}
       await withLock(${JSON.stringify(root)}, async () => {
         appendFileSync('diary', 'in ')
         await delay(20)
         appendFileSync('diary', 'out ')
       })`,
    )
    await Promise.all(Array.from({ length: 5 }, () => execa('node', ['hold.mjs'], { cwd: root })))
    expect(await readFile(path.join(root, 'diary'), 'utf8')).toBe('in out '.repeat(5))
    expect(existsSync(path.join(root, '.bootstrap.lock'))).toBe(false)
  })
})

describe('environment', () => {
  it('keeps nothing that names a database or a workspace of the caller', () => {
    const env = { PATH: '/bin', DATABASE_URL: 'postgres://x', PGHOST: 'x', BACKFILL_WORKSPACE: '/x', HOME: '' }
    prepareEnvironment(env)
    expect(Object.keys(env).filter((name) => name !== 'npm_config_nodedir')).toEqual(['PATH'])
  })

  it('leaves a nodedir that the user set', () => {
    const env = { npm_config_nodedir: '/opt/node' }
    prepareEnvironment(env)
    expect(env.npm_config_nodedir).toBe('/opt/node')
  })
})

describe('explanations', () => {
  // Lines as npm 11 and node-gyp 12 printed them where each thing was missing.
  const offline = 'npm error prebuild-install warn install getaddrinfo ENOTFOUND github.com\n'
  it.each([
    ['Python 3', `${offline}npm error gyp ERR! stack Error: Could not find any Python installation to use`],
    [
      'C++ compiler',
      `${offline}npm error gyp info find Python using Python version 3.13.5\ngyp ERR! stack Error: not found: make`,
    ],
    ['C++ compiler', `${offline}npm error make: cc: No such file or directory\nnpm error gyp ERR! build error`],
    ["Node's headers", `${offline}npm error gyp WARN install got an error, rolling back install`],
    ['package registry', 'npm error code ECONNREFUSED\nnpm error syscall connect'],
    ['the disk is full', 'npm error code ENOSPC\nnpm error nospc'],
  ])('names %s', (word, output) => {
    expect(explain(output)).toContain(word)
  })

  it('claims nothing about a failure that it does not know', () => {
    expect(explain('Segmentation fault')).toBeNull()
  })
})
