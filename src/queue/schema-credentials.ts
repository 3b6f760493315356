/**
 * Owns the fourth version of queue.db: sources that are parked because their credentials are refused. SQLite changes no constraint in place, so the table is made
 * anew with its rows. Never edited once released; later versions are steps of their own.
 */
export const credentialsSchema = `
create table parking_anew (
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
  constraint parking_reason_is_known check (
    reason is null or reason = 'unavailable' or reason = 'refused' or reason = 'credentials'),
  constraint parking_is_whole check (
    (reason is null) = (parked_at is null) and (reason is null) = (waits_since is null) and (reason is null) = (waits_until is null))
) strict, without rowid;
insert into parking_anew (source, failures, failed_at, code, message, hint, reason, times, parked_at, waits_since, waits_until)
  select source, failures, failed_at, code, message, hint, reason, times, parked_at, waits_since, waits_until from parking;
drop table parking;
alter table parking_anew rename to parking;
`
