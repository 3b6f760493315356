import { afterAll, expect, it } from 'vitest'
import { openClient } from '../support/open-client.js'
import { createDatabase } from '../support/postgres.js'

const database = await createDatabase()
afterAll(() => database.drop())

it('gives a fresh database by config and by address, whatever the environment names', async () => {
  process.env.PGHOST = '192.0.2.1'
  process.env.DATABASE_URL = 'postgresql://nobody@192.0.2.1/none'
  for (const config of [database.config, { connectionString: database.url }]) {
    const client = await openClient(config)
    const { rows } = await client.query<{ name: string }>('select current_database() as name')
    expect(rows).toEqual([{ name: database.config.database }])
    await client.end()
  }
})
