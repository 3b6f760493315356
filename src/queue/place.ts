/**
 * Owns where queue.db was used last for writing, and what another place means: a folder that was moved, or a copy. Of a copy and its original each would keep a
 * lock and a budget of its own. Must not know: tasks, Postgres (which tells copies on other machines apart). What survives a kill: the place before, or this one.
 */
import { randomUUID } from 'node:crypto'
import { realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConfigError, InvariantError } from '../domain/errors.js'
import { readMeta, writeMeta } from './meta.js'
import { openReadOnly } from './open-file.js'
import { guardSqlite } from './sqlite-errors.js'
import type { Store } from './store.js'

/**
 * Writes down that the queue is used here from now on. One that fills no database yet is a queue of its own wherever it is (a seeded workspace that is copied to
 * begin others): elsewhere it gets an id of its own, so no database takes both.
 * @returns the place before, where it was moved from there; null where it was not
 * @throws ConfigError `copied_queue` where the place before still holds a queue of this id, or may not be looked at; QueueUnavailable where that one is busy
 */
export function keepPlace(store: Store, file: string): string | null {
  const here = placeOf(file)
  const { place, id, database } = store.read(() => ({
    place: readMeta(store, 'place'),
    id: readMeta(store, 'queue_id'),
    database: readMeta(store, 'database_id'),
  }))
  if (place === here) return null
  const isMoved = place !== null && !isOneFolder(place, here)
  if (isMoved && database === null) {
    takePlace(store, file, randomUUID())
    return place
  }
  if (isMoved && id !== null) refuseCopy(id, { place, here })
  store.write(() => writeMeta(store, 'place', here))
  return isMoved ? place : null
}

/** This queue is the one from now on, whatever there is elsewhere: it gets an id that no copy has, for which its database was bound before. */
export function takePlace(store: Store, file: string, id: string): void {
  store.write(() => {
    writeMeta(store, 'queue_id', id)
    writeMeta(store, 'place', placeOf(file))
  })
}

/** By the folder: whose lock and log it is. The file's own links are left alone, for two folders that lead to one file keep a lock each. */
function placeOf(file: string): string {
  return join(realpathSync(dirname(file)), basename(file))
}

/** Two paths to one folder (a bind mount, another mount point), which has one lock. */
function isOneFolder(place: string, here: string): boolean {
  const there = statSync(dirname(here), { bigint: true })
  try {
    const { dev, ino } = statSync(dirname(place), { bigint: true })
    return dev === there.dev && ino === there.ino
  } catch {
    return false
  }
}

interface Places {
  readonly place: string
  readonly here: string
}

function refuseCopy(id: string, { place, here }: Places): void {
  const found = lookAt(place)
  if (found.is === 'gone' || (found.is === 'queue' && found.id !== id)) return
  const context = { place, here }
  if (found.is === 'queue') {
    throw new ConfigError(
      'copied_queue',
      `use "${here}" found the same queue at "${place}", where it was used last: each would spend the whole budget`,
      {
        hint: 'go on there; to go on here, remove that one, or run "backfill init --adopt" here, and the database refuses that one from then on',
        context,
      },
    )
  }
  throw new ConfigError(
    'copied_queue',
    `use "${here}" found that "${place}", where it was used last, cannot be looked at (${found.code}): a queue there may still be at work`,
    { hint: 'make sure that nobody works there, then run "backfill init --adopt" here', context },
  )
}

type Found =
  | { readonly is: 'gone' }
  | { readonly is: 'queue'; readonly id: string | null }
  | { readonly is: 'hidden'; readonly code: string }

const nothingThere: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'])

function lookAt(place: string): Found {
  try {
    const stats = statSync(place)
    if (!stats.isFile() || stats.size === 0) return { is: 'gone' }
  } catch (error) {
    const code = codeOf(error)
    return nothingThere.has(code) ? { is: 'gone' } : { is: 'hidden', code }
  }
  return idIn(place)
}

/** What is no queue, or damaged, spends no budget. */
function idIn(place: string): Found {
  try {
    return guardSqlite(place, () => {
      const db = openReadOnly(place)
      try {
        const id = db.prepare(`select value from meta where name = 'queue_id'`).pluck().get() as string | undefined
        return { is: 'queue', id: id ?? null }
      } finally {
        db.close()
      }
    })
  } catch (error) {
    const code = codeOf(error)
    if (code === 'queue_unreadable' || code === 'queue_unwritable') return { is: 'hidden', code: 'not readable' }
    if (error instanceof ConfigError || error instanceof InvariantError) return { is: 'gone' }
    throw error
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown failure'
}
