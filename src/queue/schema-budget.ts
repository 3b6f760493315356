/**
 * Owns the second version of queue.db: requests booked against a budget, and gates that a source has shut.
 * Never edited once released; later versions are steps of their own.
 */
export const budgetSchema = `
create table budget_booking (
  number integer primary key autoincrement,  -- never reused, so that a late answer cannot end a stranger's booking
  key text not null,             -- what the source's requests are counted under
  purpose text not null,
  process text not null,         -- who sent it: pid namespace, pid and start time
  is_open integer not null,      -- 1: not answered; ends_at is then the moment of its time-out
  boot text not null,            -- the boot that sent_at and ends_at count from
  sent_at integer not null,      -- monotonic ms
  ends_at integer not null,      -- monotonic ms: answered, failed or timed out; from here on the windows run
  ends_at_wall integer not null, -- the same moment in Unix ms, for the time after a reboot
  constraint budget_booking_purpose_is_known check (purpose in ('worker', 'verify', 'seed')),
  constraint budget_booking_is_open_or_not check (is_open in (0, 1)),
  constraint budget_booking_ends_after_it_was_sent check (ends_at >= sent_at)
) strict;

-- Windows look back from its end; what is under way lies behind it, in the future.
create index budget_booking_by_end on budget_booking (key, ends_at, purpose);
create index budget_booking_by_sending on budget_booking (key, sent_at);

create table budget_gate (
  key text primary key,
  refusals integer not null,     -- refused in a row; the wait doubles with it
  boot text not null,
  shut_at integer not null,      -- monotonic ms: answers to requests sent before tell nothing new
  opens_at integer not null,     -- monotonic ms
  shut_at_wall integer not null,
  opens_at_wall integer not null,
  constraint budget_gate_counts_refusals check (refusals > 0)
) strict, without rowid;
`
