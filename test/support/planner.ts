/** Which process a seed is noted as: that of a queue in a test is the test's own, which lives. */
import { spawnSync } from 'node:child_process'
import Database from 'better-sqlite3'
import { ownIdentity } from '../../src/queue/process-identity.js'

const [namespace = '', , startTime = ''] = ownIdentity().split(' ')

/** A process that has ended. */
export const gonePlanner = (): string => `${namespace} ${spawnSync('true').pid} ${startTime}`
/** The pid of this one, come round again. */
export const successorPlanner = `${namespace} ${process.pid} 1`
/** A process that cannot be asked after from here. */
export const strangePlanner = `pid:[1] 42 ${startTime}`

/** Writes it into a queue's file; null: an older version noted none. */
export function noteBackfillPlanner(file: string, backfill: string, planner: string | null): void {
  const db = new Database(file)
  try {
    const { changes } = db.prepare('update backfill set planner = ? where id = ?').run(planner, backfill)
    if (changes !== 1) throw new Error(`no backfill ${backfill} in ${file}`)
  } finally {
    db.close()
  }
}
