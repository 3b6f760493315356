/** A process that walks once behind a token, and prints how many rows came: `token-child.ts ORIGIN DIRECTORY`. */
import { systemClock } from '../../src/clock/system-clock.js'
import { createSourceClient } from '../../src/source/client.js'
import { idsOf, MemoryBudget, pagesOf, sourceOf, startOf, streamOf } from './support.js'

const [origin = '', tokenDirectory = ''] = process.argv.slice(2)
const client = createSourceClient({
  budget: new MemoryBudget(),
  clock: systemClock,
  log: () => undefined,
  environment: process.env,
  tokenDirectory,
})
const auth = {
  kind: 'oauth2' as const,
  tokenUrl: '/oauth/token',
  clientId: '$ACME_ID',
  clientSecret: '$ACME_SECRET',
  scope: null,
  send: 'form' as const,
  marginMs: 60_000,
  aheadMs: 3_600_000,
}
const pages = await pagesOf(client, startOf(sourceOf(origin, { auth }), streamOf()))
console.log(idsOf(pages).length)
await client.close()
