// How the tests run: real servers and files are slow to start, so generous limits; three processes, for the smallest machine has two cores, and much of a test is waiting.
import { defineConfig } from 'vitest/config'
import { removeSettings } from './bin/bootstrap/environment.js'

// An exported DATABASE_URL is somebody's real database, also where vitest was started without npm test.
removeSettings(process.env)

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'test/bench/**'],
    globalSetup: ['test/support/global-setup.ts'],
    disableConsoleIntercept: true,
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
