/**
 * Owns the third version of queue.db: sources that are parked or paused, dead tasks that were dismissed, queues rebuilt from the ledger, budgets that count as
 * spent. Never edited once released; later versions are steps of their own.
 */
export const controlsSchema = `
create table parking (
  source text primary key,
  failures integer not null,     -- in a row, without an answer between
  failed_at integer not null,
  code text not null,            -- of the last failure
  message text not null,
  hint text,
  reason text,                   -- null: it has failed, but is not parked
  times integer not null default 0,  -- parked in a row; the time doubles with it
  parked_at integer,             -- since when it is parked
  waits_since integer,           -- when the present wait began
  waits_until integer,           -- from then on one task at a time asks whether it answers
  constraint parking_reason_is_known check (reason is null or reason = 'unavailable' or reason = 'refused'),
  constraint parking_is_whole check (
    (reason is null) = (parked_at is null) and (reason is null) = (waits_since is null) and (reason is null) = (waits_until is null))
) strict, without rowid;

create table pause (
  source text not null,
  stream text not null,          -- empty: all streams of the source
  paused_at integer not null,
  ends_at integer,               -- null: when somebody resumes it
  note text,
  constraint pause_is_once primary key (source, stream),
  constraint pause_ends_after_it_began check (ends_at is null or ends_at >= paused_at)
) strict, without rowid;

create table dismissal (
  task integer primary key references task (number),
  stream integer not null references stream (number),
  dismissed_at integer not null,
  note text
) strict;
create index dismissal_by_stream on dismissal (stream, task);

-- Backfills whose tasks were put back from the ledger: only those may begin otherwise than ready and in epoch 0.
create table restored_backfill (
  backfill integer primary key references backfill (number)
) strict;

-- Since when a budget's source has refused without one answer between.
create table budget_refused (
  key text primary key,
  since integer not null
) strict, without rowid;

-- What was sent before this moment is not known: every window shorter than a day counts as used up.
create table budget_spent (
  only_row integer primary key,
  boot text not null,
  spent_at integer not null,      -- monotonic ms of that boot
  spent_at_wall integer not null,
  constraint budget_spent_is_one_row check (only_row = 1)
) strict;

drop trigger task_begins_ready;
create trigger task_begins_ready before insert on task
when (new.state <> 'ready' or new.epoch <> 0) and not exists (select 1 from restored_backfill where backfill = new.backfill)
begin
  select raise(abort, 'task begins ready, in epoch 0, unless it is put back from the ledger');
end;

drop trigger task_transition_exists;
create trigger task_transition_exists after update of state, epoch on task
when new.state <> old.state and not (
  (old.state = 'ready' and (new.state = 'leased' or new.state = 'cancelled'))
  or (old.state = 'leased' and new.state <> 'leased')
  or (old.state = 'dead' and (new.state = 'ready' or new.state = 'cancelled'))
  or (old.state = 'done' and new.state = 'ready' and new.code is 'database_restored'))
  or new.epoch <> old.epoch + (old.state = 'ready' and new.state = 'leased')
begin
  select raise(abort, 'task transition does not exist, or moves the epoch otherwise than by one at a claim');
end;
`
