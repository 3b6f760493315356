/** Makes queue.db.example: an empty queue of this version, without an id. Run: npm run queue-example */
import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { migrate } from '../../src/queue/migrations.js'

/** Writes the empty queue; what is there is replaced. One file, no log beside it: the first writer turns WAL on. */
export function writeExampleQueue(file: string): void {
  rmSync(file, { force: true })
  const db = new Database(file)
  migrate(db)
  db.exec('vacuum')
  db.close()
}

/** Everything that makes the file what it is, in an order of its own; the header's counters and the SQLite version in it are left out. */
export function describeQueueFile(file: string): unknown {
  const db = new Database(file, { readonly: true, fileMustExist: true })
  try {
    const tables = db.prepare(`select name from sqlite_schema where type = 'table'`).pluck().all() as string[]
    return {
      application: db.pragma('application_id', { simple: true }),
      version: db.pragma('user_version', { simple: true }),
      schema: db.prepare('select type, name, tbl_name, sql from sqlite_schema order by type, name').all(),
      rows: Object.fromEntries(
        tables.map((name) => [name, db.prepare(`select count(*) from "${name}"`).pluck().get()]),
      ),
    }
  } finally {
    db.close()
  }
}
