/** Owns the few facts about the queue as a whole: its id, where it was used last, the database it belongs to, the last run that wrote rows. */
import { randomUUID } from 'node:crypto'
import { ConfigError } from '../domain/errors.js'
import type { Store } from './store.js'

type MetaName = 'queue_id' | 'place' | 'database_id' | 'last_run_id' | 'stores_compared_at' | 'held'

const metaGet = `select value from meta where name = ?`
const metaSet = `insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value where value <> excluded.value`

export function readMeta(store: Store, name: MetaName): string | null {
  const row = store.sql(metaGet).get(name) as { value: string } | undefined
  return row?.value ?? null
}

export function writeMeta(store: Store, name: MetaName, value: string): void {
  store.sql(metaSet).run(name, value)
}

/** The queue's id; a writer mints it at the first use of the file, a reader of an unused one gets an empty text. */
export function queueId(store: Store, mode: 'create' | 'write' | 'read'): string {
  const known = store.read(() => readMeta(store, 'queue_id'))
  if (known !== null || mode === 'read') return known ?? ''
  return store.write(() => {
    const minted = readMeta(store, 'queue_id') ?? randomUUID()
    writeMeta(store, 'queue_id', minted)
    return minted
  })
}

/** @throws ConfigError `wrong_database` where the queue belongs to another one. */
export function bindDatabase(store: Store, databaseId: string): void {
  if (store.read(() => readMeta(store, 'database_id')) === databaseId) return
  store.write(() => {
    const bound = readMeta(store, 'database_id')
    if (bound !== null && bound !== databaseId) {
      throw new ConfigError('wrong_database', `use database ${databaseId} with this queue found it bound to ${bound}`, {
        hint: 'set "database:" to the database that this queue was seeded for, or use another workspace',
        context: { bound, found: databaseId },
      })
    }
    writeMeta(store, 'database_id', databaseId)
  })
}
