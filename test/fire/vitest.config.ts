// The long tests: every kill point, and a worker that is killed for minutes. `npm run test:soak`; they are no part of `npm test`.
import { defineConfig, mergeConfig } from 'vitest/config'
import everyday from '../../vitest.config.js'

export default mergeConfig(
  { ...everyday, test: { ...everyday.test, include: [] } },
  defineConfig({ test: { root: '.', include: ['test/fire/**/*.soak.ts'], maxWorkers: 1, fileParallelism: false } }),
)
