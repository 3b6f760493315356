/**
 * Owns the versions of queue.db: an append-only list of steps, `user_version` as their count.
 * A kill in the middle leaves the version before: every step and its number are one transaction.
 */
import type { Database } from 'better-sqlite3'
import { budgetSchema } from './schema-budget.js'
import { budgetLineSchema } from './schema-budget-line.js'
import { controlsSchema } from './schema-controls.js'
import { credentialsSchema } from './schema-credentials.js'
import { findingsSchema } from './schema-findings.js'
import { plannerSchema } from './schema-planner.js'
import { tasksSchema } from './schema-tasks.js'

/** "bkfl" in SQLite's header: says that a file is a queue of ours. */
export const applicationId = 0x626b666c

/** Append only: step n makes version n + 1 of version n. */
const steps: readonly string[] = [
  tasksSchema,
  budgetSchema,
  controlsSchema,
  budgetLineSchema,
  credentialsSchema,
  plannerSchema,
  findingsSchema,
]

/** The version that this code reads and writes. */
export const currentVersion = steps.length

/** Brings the file to `target` (by default the current version); does nothing where it is there. Two processes at once: the second waits. */
export function migrate(db: Database, target: number = currentVersion): void {
  const upgrade = db.transaction(() => {
    db.pragma(`application_id = ${applicationId}`)
    for (const [index, step] of steps.slice(0, target).entries()) {
      if (index < fileVersion(db)) continue
      db.exec(step)
      db.pragma(`user_version = ${index + 1}`)
    }
  })
  upgrade.immediate()
}

/** The version a file is of; 0 for an empty one. */
export function fileVersion(db: Database): number {
  return db.pragma('user_version', { simple: true }) as number
}
