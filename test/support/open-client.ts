/** How every test connects to Postgres. */
import pg from 'pg'

/** A connection whose loss its next query tells: without a listener for it, pg ends the whole process. */
export async function openClient(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config)
  client.on('error', () => undefined)
  await client.connect()
  return client
}
