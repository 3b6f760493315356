/**
 * One simulated municipality: its pages, and the SQLite database that Datasette would read them from (in memory, made when first asked for). A rebuild
 * makes a new database, as civic.band does: cursors of the old one go on, over other rows.
 */
import Database from 'better-sqlite3'
import { type MeetingPage, makePages, rebuildPages, type SiteSize, type TableName, tables } from './pages.js'
import type { Rebuild } from './switches.js'

export class Site {
  readonly subdomain: string
  readonly #seed: string
  #pages: Record<TableName, readonly MeetingPage[]>
  #database: Database.Database | null = null
  #builds = 1
  /** Table pages served since the last build. */
  servedPages = 0

  constructor(subdomain: string, size: SiteSize, seed: string) {
    this.subdomain = subdomain
    this.#seed = `${seed} ${subdomain}`
    this.#pages = { agendas: makePages('agendas', size, this.#seed), minutes: makePages('minutes', size, this.#seed) }
  }

  /** The rows as they are now, by id. */
  rows(table: TableName): readonly MeetingPage[] {
    return [...this.#pages[table]].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  get builds(): number {
    return this.#builds
  }

  rebuild(change: Rebuild): void {
    const seed = `${this.#seed} ${this.#builds}`
    this.#pages = {
      agendas: rebuildPages(this.#pages.agendas, change, { table: 'agendas', seed }),
      minutes: rebuildPages(this.#pages.minutes, change, { table: 'minutes', seed }),
    }
    this.#builds += 1
    this.close()
  }

  get database(): Database.Database {
    this.#database ??= build(this.#pages)
    return this.#database
  }

  close(): void {
    this.#database?.close()
    this.#database = null
  }
}

function build(pages: Record<TableName, readonly MeetingPage[]>): Database.Database {
  const database = new Database(':memory:')
  for (const table of tables) {
    // clerk's schema: `date` is text, nothing but the id is constrained.
    database.exec(
      `create table ${table} (id text primary key, meeting text, date text, page integer, text text, page_image text, entities_json text, votes_json text)`,
    )
    const insert = database.prepare(
      `insert into ${table} values (@id, @meeting, @date, @page, @text, @page_image, @entities_json, @votes_json)`,
    )
    database.transaction(() => {
      for (const page of pages[table]) insert.run(page)
    })()
  }
  database.pragma('query_only = on')
  return database
}
