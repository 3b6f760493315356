/**
 * Owns the sixth version of queue.db: which process makes a backfill's tasks, so that one that was cut off is known at once, and whether it was to make them anew.
 * Never edited once released; later versions are steps of their own.
 */
export const plannerSchema = `
alter table backfill add column planner text;  -- the process that begun it or goes on with it: pid namespace, pid, start time; null: an older version's
alter table backfill add column is_forced integer not null default 0;  -- 1: partitions that are done get a task, too
update backfill set is_forced = 1 where reason = 'seed' and fingerprint like '%true]';
`
