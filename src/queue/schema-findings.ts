/**
 * Owns the seventh version of queue.db: what verify complained of, partition by partition, until a verify takes it back.
 * Never edited once released; later versions are steps of their own.
 */
export const findingsSchema = `
create table finding (
  stream integer not null references stream (number),
  partition text not null,       -- canonical JSON, names sorted
  verdict text not null,
  found_at integer not null,     -- Unix ms
  constraint finding_is_once primary key (stream, partition),
  constraint finding_verdict_is_known check (verdict = 'discrepancy' or verdict = 'unproven')
) strict, without rowid;
`
