// How the tests run: real servers and files are slow to start, so generous limits; three processes, for the smallest machine has two cores, and much of a test is waiting.
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { removeSettings } from './bin/bootstrap/environment.js'

// An exported DATABASE_URL is somebody's real database, also where vitest was started without npm test.
removeSettings(process.env)

/**
 * What takes long begins first, so that no process works alone at the end; without a cache of earlier times, as on a fresh machine, vitest would go by the size
 * of the files. The first that a path begins with counts.
 */
const longest = [
  'test/e2e/school42',
  'test/demo/demo',
  'test/fire/kill-points',
  'test/e2e/queue-file',
  'test/fire/moments',
  'test/e2e/',
  'test/fire/',
  'test/embedded/',
  'test/sources/school42-load',
  'test/lock/',
  'test/queue/',
  'test/package/',
  'test/cli/',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = longest.findIndex((start) => moduleId.includes(`/${start}`))
      return found === -1 ? longest.length : found
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'test/bench/**'],
    globalSetup: ['test/support/global-setup.ts'],
    disableConsoleIntercept: true,
    pool: 'forks',
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
