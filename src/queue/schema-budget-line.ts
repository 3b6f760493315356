/**
 * Owns the fourth version of queue.db: what a request weighs, what others use of a budget, what the source says of its limits, quotas, and the line of those
 * that wait. Never edited once released; later versions are steps of their own.
 */
export const budgetLineSchema = `
-- A request may cost more than one of each limit.
alter table budget_booking add column weight integer not null default 1
  constraint budget_booking_weighs_something check (weight > 0);
drop index budget_booking_by_end;
create index budget_booking_by_end on budget_booking (key, ends_at, purpose, weight);

-- Requests that the source has counted in a window beyond ours: somebody else's.
create table budget_stranger (
  number integer primary key,
  key text not null,
  period_ms integer not null,      -- of the window whose header told of them
  requests integer not null,
  boot text not null,
  noticed_at integer not null,     -- monotonic ms; they age from here
  noticed_at_wall integer not null,
  constraint budget_stranger_is_somebody check (requests > 0)
) strict;
create index budget_stranger_by_notice on budget_stranger (key, period_ms, noticed_at, requests);

-- What the source last said of a window in headers.
create table budget_told (
  key text not null,
  period_ms integer not null,
  requests integer not null,       -- its limit; it replaces the declared one
  told_at_wall integer not null,
  boot text not null,
  resets_at integer,               -- monotonic ms; null: it did not say, or that moment was judged
  resets_at_wall integer,
  emptied_at integer,              -- monotonic ms: it has shown that it forgot what came before
  emptied_at_wall integer,
  constraint budget_told_is_once primary key (key, period_ms)
) strict, without rowid;

-- What a quota has left: counted from its last reset.
create table budget_quota (
  key text not null,
  quota text not null,             -- what it is per, and when it resets
  starts_at_wall integer not null, -- the reset that it is counted from, Unix ms
  worker integer not null,
  interactive integer not null,    -- verify, seed --dry-run
  others integer not null,         -- somebody else's, as headers told
  constraint budget_quota_is_once primary key (key, quota)
) strict, without rowid;

-- Requests that wait for their turn. A place is worth nothing after a power cut, so it is written without waiting for the disk.
create table budget_place (
  number integer primary key autoincrement,
  key text not null,
  process text not null,           -- who waits: pid namespace, pid and start time
  purpose text not null,
  priority integer not null,
  weight integer not null,
  boot text not null,
  joined_at integer not null,      -- monotonic ms
  sends_at integer not null,       -- monotonic ms: its send time as far as it can be told; looked at again then
  blocks_from integer not null,    -- monotonic ms: later where only its own share holds it back, which is nobody else's wait
  constraint budget_place_purpose_is_known check (purpose in ('worker', 'verify', 'seed'))
) strict;
create index budget_place_by_key on budget_place (key, number);
`
