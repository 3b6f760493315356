/**
 * Owns the version of the schema `backfill` that knows windows of change: from when and until when a walk of the ledger asked, which rows of the ledger speak of
 * the same partition, and the watermark of each partition. Never edited once released; later versions are steps of their own.
 */

/**
 * `whole` by text: names that begin with '#' sort before those of dimensions, so they are the text's beginning. A quote inside a value is escaped, so `"#page":`
 * is nowhere but where the name is. A trigger writes both, and not a generated column, so that rows of the ledger can be copied and put back with `select *`. Walks
 * of before asked for everything: their `since` stays NULL.
 */
export const followSchema = String.raw`
alter table backfill.ledger add column since timestamptz, add column until timestamptz,
  add column whole text, add column is_page boolean;
create function backfill.ledger_name_partition() returns trigger language plpgsql as $body$
begin
  new.whole := regexp_replace(new.partition, '^\{(?:"#(?:[^"\\]|\\.)*":"(?:[^"\\]|\\.)*",?)+', '{');
  new.is_page := strpos(new.partition, '"#page":') > 0;
  return new;
end
$body$;
create trigger ledger_names_partition before insert or update of partition on backfill.ledger
  for each row execute function backfill.ledger_name_partition();
update backfill.ledger set partition = partition;
alter table backfill.ledger alter whole set not null, alter is_page set not null;
drop index backfill.ledger_finished_by_partition;
create index ledger_full_by_whole on backfill.ledger (source, stream, whole, finished_at) where since is null and not is_page;
create table backfill.watermark (
  source text not null,
  stream text not null,
  partition text not null,
  watermark timestamptz,
  walked_at timestamptz not null,
  full_at timestamptz,
  rows bigint,
  proof text not null,
  task uuid not null,
  constraint watermark_once_per_partition primary key (source, stream, partition),
  constraint watermark_rows_counted check (rows >= 0),
  constraint watermark_proof_known check (proof in ('proven', 'unproven'))
);
comment on column backfill.ledger.since is 'The walk asks only for what changed since then; null: for everything';
comment on column backfill.ledger.until is 'The clock of the source at the first answer of the walk: what changed later belongs to the next; null: no answer yet';
comment on column backfill.ledger.whole is 'The partition without the names that only say how it is walked (those that begin with #): equal for all tasks of one partition';
comment on column backfill.ledger.is_page is 'True for the task of a single page, which says nothing of its partition';
comment on table backfill.watermark is 'How far each partition is up to date; one row a partition, also where many are asked for at a time. A row that is deleted is walked anew, from its beginning';
comment on column backfill.watermark.source is 'Source of the partition';
comment on column backfill.watermark.stream is 'Stream of the partition';
comment on column backfill.watermark.partition is 'The partition as JSON with sorted names, of one value for each dimension';
comment on column backfill.watermark.watermark is 'Everything that changed before, by the clock of the source, is in the table; null: not known. Moves forward only, and only by walks that began before it';
comment on column backfill.watermark.walked_at is 'When a walk of the partition ended last';
comment on column backfill.watermark.full_at is 'When the last walk that asked for everything began; null: there was none';
comment on column backfill.watermark.rows is 'Rows of the partition in the table when the last walk that asked for everything ended; null: not counted';
comment on column backfill.watermark.proof is 'How far the end of the last walk is proven: proven or unproven; one that differs is not written down here';
comment on column backfill.watermark.task is 'Task that walked it last';
`
