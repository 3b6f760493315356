// What the commands say to wrong input: exit 2, one sentence, one hint, nothing changed.
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Retry from '../../commands/retry.js'
import Seed from '../../commands/seed.js'
import Sql from '../../commands/sql.js'
import Status from '../../commands/status.js'
import Verify from '../../commands/verify.js'
import Worker from '../../commands/worker.js'
import { runCommand, temporaryFolder, writeWorkspace } from './run-command.js'

let folder = temporaryFolder()
beforeEach(() => {
  folder = temporaryFolder()
  writeWorkspace(folder.path)
})
afterEach(() => folder.remove())

const here = (): string[] => ['--workspace', folder.path]

describe('wrong input', () => {
  test('an unknown source is named, with the ones there are', async () => {
    const ran = await runCommand(Seed, 'citty', ...here())
    expect(ran).toMatchObject({ exitCode: 2, stdout: '' })
    expect(ran.stderr).toBe(
      'Error: select "citty" found no such source (did you mean "city")\nTry: known sources: "city"\n',
    )
    expect(existsSync(join(folder.path, 'queue.db'))).toBe(false)
  })

  test('an unknown stream and an unknown value are refused', async () => {
    expect((await runCommand(Seed, 'city.page', ...here())).stderr).toContain('did you mean "pages"')
    const ran = await runCommand(Seed, 'city.pages', '--town', 'gamma', ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('"gamma"')
  })

  test('every mistake of a bad YAML is said at once, with file and line', async () => {
    writeWorkspace(folder.path, {
      'city.yaml': 'source: city\nbase_url: 17\nstreams:\n  pages: { path: /x, keey: id }\n',
    })
    const ran = await runCommand(Status, ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('sources/city.yaml:2: base_url: expected')
    expect(ran.stderr).toContain('keey')
  })

  test('a bad definition stops its source alone: the others are worked on, and the exit code is 2', async () => {
    writeWorkspace(folder.path, { 'bad.yaml': 'source: bad\nbase_url: 17\nstreams: {}\n' })
    expect((await runCommand(Seed, 'city', ...here())).exitCode).toBe(2)
    const ran = await runCommand(Status, ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('Error: read "sources/bad.yaml" found')
    expect(ran.stderr).toContain('sources/bad.yaml:2: base_url: expected')
    expect(ran.stdout).toContain('city')
    const named = await runCommand(Seed, 'bad', ...here())
    expect(named).toMatchObject({ exitCode: 2, stdout: '' })
  })

  test('a syntax error in backfill.yaml is exit 2 with its line', async () => {
    writeWorkspace(folder.path, { 'backfill.yaml': 'database: embedded\nsources: [\n' })
    const ran = await runCommand(Worker, ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(/backfill\.yaml:\d/)
  })

  test('a folder that is no workspace is refused with the way out', async () => {
    const empty = join(folder.path, 'empty')
    mkdirSync(empty)
    const ran = await runCommand(Status, '--workspace', empty)
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('Try: run "backfill init"')
  })

  test.each([
    { name: 'worker', command: Worker, argv: [] },
    { name: 'status', command: Status, argv: [] },
    { name: 'retry', command: Retry, argv: ['--all'] },
    { name: 'verify', command: Verify, argv: [] },
  ])('$name without a queue is exit 2 and makes none', async ({ command, argv }) => {
    const ran = await runCommand(command, ...argv, ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('found no queue')
    expect(existsSync(join(folder.path, 'queue.db'))).toBe(false)
  })

  test('a workspace without a database is refused by sql, not by seed', async () => {
    writeWorkspace(folder.path, { 'backfill.yaml': 'timezone: UTC\n' })
    expect(await runCommand(Seed, 'city.towns', ...here())).toMatchObject({ exitCode: 0 })
    const ran = await runCommand(Sql, 'select 1', ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('found none configured')
  })

  test('a database that cannot be reached is exit 75 and its password stays secret', async () => {
    writeWorkspace(folder.path, {
      'backfill.yaml': 'database: $DATABASE_URL\n',
      '.env': 'DATABASE_URL=postgres://me:hunter22secret@127.0.0.1:9/db\n',
    })
    const ran = await runCommand(Sql, 'select 1', ...here())
    expect(ran.exitCode).toBe(75)
    expect(ran.stderr).toContain('Error: ')
    expect(ran.stderr + ran.stdout).not.toContain('hunter22secret')
  })

  test.runIf(process.getuid?.() === 0)("another user's workspace is refused, but for status", async () => {
    await runCommand(Seed, 'city', ...here())
    chownSync(join(folder.path, 'queue.db'), 65_534, 65_534)
    for (const command of [Worker, Seed, Verify]) {
      const ran = await runCommand(command, ...here())
      expect(ran.exitCode).toBe(2)
      expect(ran.stderr).toContain('found it owned by user 65534')
    }
    expect(await runCommand(Status, ...here())).toMatchObject({ exitCode: 0, stderr: '' })
  })

  test.runIf(process.getuid?.() !== 0)('a folder that cannot be written is exit 2', async () => {
    chmodSync(folder.path, 0o500)
    const ran = await runCommand(Seed, 'city', ...here())
    chmodSync(folder.path, 0o700)
    expect(ran.exitCode).toBe(2)
  })

  test('a file in the place of queue.db is refused and stays as it is', async () => {
    writeFileSync(join(folder.path, 'queue.db'), "not a database, but somebody's notes")
    const ran = await runCommand(Status, ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).not.toContain('bug')
  })

  test('--batch-size is refused by every command naming both words for it', async () => {
    for (const command of [Seed, Worker, Status, Retry, Verify]) {
      const ran = await runCommand(command, '--batch-size', '100', ...here())
      expect(ran.exitCode).toBe(2)
      expect(ran.stderr).toContain('--page-size')
      expect(ran.stderr).toContain('--claim')
    }
  })

  test('retry --resume is answered with who resumes', async () => {
    await runCommand(Seed, 'city', ...here())
    const ran = await runCommand(Retry, '--resume', ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('the worker resumes by itself')
  })

  test('retry without a selector does nothing', async () => {
    await runCommand(Seed, 'city', ...here())
    expect(await runCommand(Retry, ...here())).toMatchObject({ exitCode: 2, stdout: '' })
  })

  test("an unknown flag, a wrong number and a wrong duration are exit 2, without the parser's own words", async () => {
    const flag = await runCommand(Status, '--nope', ...here())
    expect(flag).toMatchObject({
      exitCode: 2,
      stderr: 'Error: nonexistent flag: --nope\nTry: add --help for the flags that there are\n',
    })
    const number = await runCommand(Worker, '--claim', 'many', ...here())
    expect(number.stderr).toBe('Error: read --claim found "many", expected a whole number of at least 1\n')
    const duration = await runCommand(Worker, '--max-runtime', 'soon', ...here())
    expect(duration.stderr).toBe(
      'Error: read --max-runtime found "soon", expected a duration\nTry: write it like 90s, 30m or 4h\n',
    )
    expect([number.exitCode, duration.exitCode]).toEqual([2, 2])
  })

  test('with --json a failure is one document on stdout', async () => {
    const ran = await runCommand(Seed, 'nope', '--json', ...here())
    expect(ran).toMatchObject({ exitCode: 2, stderr: '' })
    expect(JSON.parse(ran.stdout)).toEqual({
      error: {
        code: 'unknown_source',
        message: 'select "nope" found no such source',
        hint: 'known sources: "city"',
        problems: [],
        exit_code: 2,
      },
    })
  })

  test('--watch without a terminal is refused', async () => {
    await runCommand(Seed, 'city', ...here())
    expect((await runCommand(Status, '--watch', ...here())).exitCode).toBe(2)
  })
})
