import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { loadWorkspace } from '../../src/workspace/load-workspace.js'
import { acmeYaml, workspaceFolder } from './workspace-folder.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Report {
  readonly packages: readonly string[]
  readonly sources: readonly string[]
}

/** Loads the workspace in a process of its own; answers the packages that it resolved on the way. */
async function loadElsewhere(directory: string): Promise<Report> {
  const child = fileURLToPath(new URL('./load-child.mjs', import.meta.url))
  const { stdout } = await execa(process.execPath, ['--import', 'tsx', child, directory], { cwd: root })
  return JSON.parse(stdout) as Report
}

describe('a start', () => {
  const files = {
    'backfill.yaml': 'database: embedded\nsources: { civicband: { subdomains: [oakland.ca] } }\n',
    'sources/acme.yaml': acmeYaml,
    'sources/typed.ts':
      "import { defineSource } from 'api-backfill'\nexport default defineSource({ source: 'typed', baseUrl: 'https://t.example', streams: { rows: { path: '/', key: 'id' } } })\n",
  }

  it('that is warm loads neither zod nor yaml nor jiti, one that is cold loads them all', async () => {
    const directory = workspaceFolder(files)
    const cold = await loadElsewhere(directory)
    const warm = await loadElsewhere(directory)
    expect(cold.packages).toEqual(expect.arrayContaining(['jiti', 'yaml', 'zod']))
    expect(warm).toEqual({ packages: [], sources: ['civicband', 'acme', 'typed'] })
  })

  it('that is warm takes a few milliseconds', async () => {
    const directory = workspaceFolder(files)
    await loadWorkspace({ directory, environment: {} })
    const times: number[] = []
    for (let round = 0; round < 500 && (round < 21 || Math.min(...times) >= 5); round++) {
      const begin = performance.now()
      await loadWorkspace({ directory, environment: {} })
      times.push(performance.now() - begin)
    }
    // 1 to 2 ms on an idle machine; the quickest of many says what the work is, the others what the machine was busy with. A busy one needs more of them.
    expect(Math.min(...times)).toBeLessThan(5)
  })

  it('needs nothing of the package for defineSource: a definition loads in a folder without packages', () => {
    const text = readFileSync(new URL('../../src/definition/define-source.ts', import.meta.url), 'utf8')
    expect(text.match(/^import (?!type)/gm)).toBeNull()
  })
})
