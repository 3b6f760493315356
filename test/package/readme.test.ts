/** What the README mirrors is checked, not trusted: settings, commands, libraries, exit codes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import Init from '../../commands/init.js'
import { exitCodes } from '../../src/cli/exit.js'
import { settingsCatalogue } from '../../src/definition/settings-catalogue.js'
import { runCommand } from '../cli/run-command.js'

const root = resolve(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
  'dependencies' | 'devDependencies' | 'scripts',
  Record<string, string>
>

describe('README', () => {
  it.each(settingsCatalogue.map((setting) => [setting.key, setting] as const))(
    'lists the setting %s as it is',
    (_, setting) => {
      const line = readme.split('\n').find((one) => one.startsWith(`| \`${setting.key}\` |`))
      expect(line).toBeDefined()
      expect(line).toContain(`| ${setting.default} |`)
      expect(line).toContain(setting.sentence)
      if (setting.seed !== null) expect(line).toContain(setting.seed)
    },
  )
  it('names every command', () => {
    for (const file of readdirSync(join(root, 'commands')))
      expect(readme).toContain(`| \`backfill ${file.replace('.ts', '')}\` |`)
  })
  it('gives a reason for every library', () => {
    const libraries = readme.slice(readme.indexOf('## Libraries'), readme.indexOf('## Development')).toLowerCase()
    for (const name of [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)]) {
      if (name.startsWith('@types/')) continue
      expect(libraries, name).toContain(name.replace('@biomejs/', '').toLowerCase())
    }
  })
  it('names every exit code', () => {
    for (const code of [...Object.values(exitCodes), 129, 130, 143])
      expect(readme).toMatch(new RegExp(`\\| [^|]*\\b${code}\\b[^|]* \\|`))
  })
  it('names only scripts that there are', () => {
    for (const [, script] of readme.matchAll(/npm run ([\w-]+)/g))
      expect(Object.keys(manifest.scripts)).toContain(script)
  })
  it('begins with files that init makes', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'backfill-readme-'))
    try {
      expect(await runCommand(Init, '--workspace', directory)).toMatchObject({ exitCode: 0 })
      const [, from = 'no such line', to] = /^cp (\S+) (\S+)$/m.exec(readme) ?? []
      expect(readdirSync(directory, { recursive: true })).toContain(from)
      expect(readme).toContain(`$EDITOR ${to} `)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
