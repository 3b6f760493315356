/**
 * Owns the first version of queue.db: backfills, streams with their counters, tasks with their states, runs.
 * The state machine of a task lives here, in triggers: no program, this one included, can write a transition that does not exist.
 * Never edited once released; later versions are steps of their own.
 *
 * `x = 'a' or x = 'b'` instead of `x in ('a', 'b', 'c')` in checks and triggers: SQLite builds a table for a longer list at every row,
 * which alone took 4 of the 12 microseconds of a claim.
 */
export const tasksSchema = `
create table meta (
  name text primary key,   -- queue_id, database_id, last_run_id
  value text not null
) strict, without rowid;

create table backfill (
  number integer primary key,
  id text not null,              -- UUID
  scope text not null,           -- what the operator asked for, for status
  fingerprint text not null,     -- sha-256 of scope and options: the same seed that died while planning goes on here
  reason text not null,
  created_at integer not null,   -- Unix ms, as all instants
  planned_at integer,            -- all its tasks are in the queue since then; null while seed works or after it died
  constraint backfill_id_is_unique unique (id),
  constraint backfill_reason_is_known check (reason = 'seed' or reason = 'every')
) strict;

create index backfill_unplanned_by_fingerprint on backfill (fingerprint) where planned_at is null;

create table stream (
  number integer primary key,
  source text not null,
  name text not null,
  -- Tasks by state, kept by every transaction that changes tasks, so that status never counts a million rows.
  ready integer not null default 0,
  retrying integer not null default 0,    -- of the ready ones: failed since their last progress
  waiting integer not null default 0,     -- of the ready ones: with a ready_at, come or not
  suspect integer not null default 0,     -- of the ready ones: taken back from a dead worker since their last progress
  leased integer not null default 0,
  done integer not null default 0,
  dead integer not null default 0,
  cancelled integer not null default 0,
  unproven integer not null default 0,    -- of the done ones
  differs integer not null default 0,     -- of the done ones
  day text not null default '',           -- YYYY-MM-DD in the workspace's zone: the last on which one of its tasks changed
  done_on_day integer not null default 0,
  -- Sums over all its tasks.
  pages integer not null default 0,
  received integer not null default 0,
  created integer not null default 0,
  updated integer not null default 0,
  unchanged integer not null default 0,
  held integer not null default 0,
  duplicates integer not null default 0,
  requests integer not null default 0,
  constraint stream_name_is_unique unique (source, name)
) strict;

create table task (
  number integer primary key,    -- small number for people, in order of creation
  id text not null,              -- UUID, never reused
  stream integer not null references stream (number),
  partition text not null,       -- canonical JSON, names sorted
  backfill integer not null references backfill (number),
  state text not null default 'ready',
  is_current integer not null default 1,  -- 1: newest task of its partition; an open task always is
  priority integer not null,     -- higher is claimed first
  epoch integer not null default 0,       -- raised by every claim, never lowered; fences whoever held the task before
  attempts integer not null default 0,    -- since the last progress
  reclaims integer not null default 0,    -- taken back from a dead worker, since the last progress
  created_at integer not null,
  ready_at integer,              -- null: at once. A task whose time has come is set to null before it is claimed
  leased_at integer,
  renewed_at integer not null,   -- last sign of life; not null, so that a claim finds its bytes there and need not split the page
  finished_at integer,           -- when it became done, dead or cancelled
  run integer,                   -- number of the run that claimed it last; old runs are pruned
  code text,                     -- of the last failure
  message text,
  hint text,
  pages integer not null default 0,
  received integer not null default 0,
  created integer not null default 0,
  updated integer not null default 0,
  unchanged integer not null default 0,
  held integer not null default 0,
  duplicates integer not null default 0,
  requests integer not null default 0,
  expected integer,              -- the source's own count of the partition
  proof text,                    -- of a done task: how far that count agrees
  cursor text,                   -- copy for status, never to resume from
  worked_ms integer not null default 0,
  constraint task_state_is_known check (state = 'ready' or state = 'leased' or state = 'done' or state = 'dead' or state = 'cancelled'),
  constraint task_current_is_flag check (is_current = 1 or is_current = 0),
  constraint task_open_is_current check (is_current = 1 or state = 'done' or state = 'cancelled'),
  constraint task_lease_matches_state check ((state = 'leased') = (leased_at is not null)),
  constraint task_finish_matches_state check ((state = 'ready' or state = 'leased') = (finished_at is null)),
  constraint task_waits_only_while_ready check (ready_at is null or state = 'ready'),
  constraint task_proof_matches_state check ((state = 'done') = (proof is not null)),
  constraint task_proof_is_known check (proof is null or proof = 'proven' or proof = 'unproven' or proof = 'differs'),
  constraint task_dead_has_reason check (state <> 'dead' or (code is not null and message is not null)),
  constraint task_attempts_are_not_negative check (attempts >= 0 and reclaims >= 0)
) strict;

create unique index task_id_is_unique on task (id);
-- One open task per partition; also finds the newest task of a partition. Claim and settle change none of its columns, so it costs them nothing.
create unique index task_current_by_partition on task (stream, partition) where is_current = 1;
create index task_claimable_by_priority on task (stream, priority desc, number) where state = 'ready' and ready_at is null and reclaims = 0;
create index task_suspect_by_priority on task (stream, priority desc, number) where state = 'ready' and ready_at is null and reclaims > 0;
create index task_waiting_by_ready_at on task (stream, ready_at) where state = 'ready' and ready_at is not null;
create index task_leased_by_number on task (number) where state = 'leased';
create index task_dead_by_number on task (number) where state = 'dead';
create index task_cancelled_by_number on task (number) where state = 'cancelled';
-- The newest finished ones of a stream, and those of a stream with a rhythm whose time has come again.
create index task_done_by_finish on task (stream, is_current, finished_at) where state = 'done';

create trigger task_begins_ready before insert on task
when new.state <> 'ready' or new.epoch <> 0
begin
  select raise(abort, 'task begins ready, in epoch 0');
end;

create trigger task_is_kept before delete on task
begin
  select raise(abort, 'task is never deleted');
end;

create trigger task_transition_exists after update of state, epoch on task
when new.state <> old.state and not (
  (old.state = 'ready' and (new.state = 'leased' or new.state = 'cancelled'))
  or (old.state = 'leased' and new.state <> 'leased')
  or (old.state = 'dead' and (new.state = 'ready' or new.state = 'cancelled')))
  or new.epoch <> old.epoch + (old.state = 'ready' and new.state = 'leased')
begin
  select raise(abort, 'task transition does not exist, or moves the epoch otherwise than by one at a claim');
end;

create table run (
  number integer primary key,
  id text not null,              -- UUID
  command text not null,
  pid integer not null,
  started_at integer not null,
  touched_at integer not null,   -- last sign of life
  finished_at integer,           -- null: at work, or killed
  exit_code integer,
  reason text,
  requests integer not null default 0,
  done integer not null default 0,
  dead integer not null default 0,
  rows integer not null default 0,
  constraint run_id_is_unique unique (id),
  constraint run_end_is_whole check ((finished_at is null) = (exit_code is null) and (finished_at is null) = (reason is null))
) strict;
`
