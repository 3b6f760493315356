/**
 * Owns the version of the schema `backfill` that knows where the last run was made, so that a copied queue.db is recognised on another machine, too. Never edited
 * once released; later versions are steps of their own.
 */

/** An existing row keeps NULL: nothing is compared before the next run. */
export const placeSchema = `
alter table backfill.meta add column last_run_place text;
comment on column backfill.meta.last_run_place is 'Machine and folder of the workspace that made the last run, as host:/folder; a queue of the same identity elsewhere that does not know that run is a copy; null where not known';
`
