// How the tests run: real servers and files are slow to start, so generous limits; two processes, as many as the smallest machine has cores.
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
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
