/** What is published: the packed archive, unpacked elsewhere, holds everything it needs and runs with nothing but its dependencies beside it. */
import { mkdtemp, readdir, readFile, realpath, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { schemaOf } from '../support/schema-of.js'

const project = path.resolve(import.meta.dirname, '../..')

describe('the packed package', () => {
  let folder: string
  let unpacked: string

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'backfill-pack-'))
    await execa('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: project, stdin: 'ignore' })
    const archives = await readdir(folder)
    await execa('tar', ['-xzf', ...archives], { cwd: folder })
    unpacked = path.join(folder, 'package')
    await symlink(path.join(project, 'node_modules'), path.join(unpacked, 'node_modules'))
  }, 120_000)
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('prints its help and its version', async () => {
    const help = await execa('node', ['bin/run.js', '--help'], { cwd: unpacked })
    for (const command of ['seed', 'worker', 'status', 'retry', 'verify']) expect(help.stdout).toContain(command)
    const version = await execa('node', ['bin/run.js', '--version'], { cwd: unpacked })
    expect(version.stdout).toMatch(/^api-backfill\/\d+\.\d+\.\d+ /)
  })

  it('holds the examples, the licence and the bundled start-up, and no sources, tests or leftovers of the build', async () => {
    const entries = await readdir(unpacked, { recursive: true })
    const files = entries.filter((file) => !file.startsWith('node_modules/'))
    expect(files).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'crontab.example',
        'queue.db.example',
        'dist/commands/worker.js',
        'dist/node_modules/@oclif/core/index.js',
        'dist/oclif.manifest.json',
        'dist/src/index.d.ts',
        'dist/src/index.js',
      ]),
    )
    const unwanted = /^(test|commands|bin\/bootstrap)|^src\/.*\.ts$|\.map$|\.tsbuildinfo$|^dist\/\.build/
    expect(files.filter((file) => unwanted.test(file))).toEqual([])
  })

  it('makes a workspace from its own examples, wherever it lies', async () => {
    const workspace = path.join(folder, 'workspace')
    await execa('node', ['bin/run.js', 'init', '--workspace', workspace], { cwd: unpacked, stdin: 'ignore' })
    expect(await readdir(workspace)).toEqual(expect.arrayContaining(['backfill.yaml', 'queue.db']))
  })

  it('holds the schemas that editors find by the first lines of the files it makes, also below a folder with a space', async () => {
    const elsewhere = path.join(folder, 'a package')
    await rename(unpacked, elsewhere)
    const workspace = path.join(folder, 'edited')
    try {
      await execa('node', ['bin/run.js', 'init', '--workspace', workspace], { cwd: elsewhere, stdin: 'ignore' })
      const schemaIn = async (file: string) => schemaOf(await readFile(path.join(workspace, file), 'utf8'))
      expect(await schemaIn('backfill.yaml')).toMatchObject({ title: 'backfill.yaml', properties: { sources: {} } })
      const example = await schemaIn('sources/acme.yaml.example')
      expect(example).toMatchObject({ title: 'A source of backfill', properties: { base_url: {} } })
    } finally {
      await rename(elsewhere, unpacked)
    }
    await rm(workspace, { recursive: true })
    await execa('node', ['bin/run.js', 'init', '--workspace', workspace], { cwd: unpacked, stdin: 'ignore' })
    const text = await readFile(path.join(workspace, 'backfill.yaml'), 'utf8')
    expect(text).toContain(`$schema=${await realpath(unpacked)}/src/definition/schema/workspace.schema.json\n`)
    expect(schemaOf(text)).toMatchObject({ title: 'backfill.yaml' })
  })

  it('passes over a manifest that is older than a command', async () => {
    const file = path.join(unpacked, 'dist/oclif.manifest.json')
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll('put dead tasks back', 'as the manifest says'))
    expect((await execa('node', ['bin/run.js', '--help'], { cwd: unpacked })).stdout).toContain('as the manifest says')
    const later = new Date(Date.now() + 60_000)
    await utimes(path.join(unpacked, 'dist/commands/retry.js'), later, later)
    expect((await execa('node', ['bin/run.js', '--help'], { cwd: unpacked })).stdout).toContain('put dead tasks back')
  })

  it('can be imported by a source of the user', async () => {
    const program = "import { defineSource } from 'api-backfill'; console.log(typeof defineSource)"
    const { stdout } = await execa('node', ['--input-type=module', '-e', program], { cwd: unpacked })
    expect(stdout).toBe('function')
  })
})
