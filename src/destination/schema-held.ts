/**
 * Owns the version of the schema `backfill` that lets held rows be put back: what a row waits for, when it was tried again, and the pages that a walk split
 * off. Never edited once released; later versions are steps of their own.
 */

/** Existing rows keep NULL: they are tried again without asking first whether their parent is there. */
export const heldSchema = `
alter table backfill.held add column reference text, add column parent_key text[], add column retried_at timestamptz,
  add constraint held_reference_has_key check ((reference is null) = (parent_key is null));
create index held_by_identity on backfill.held (source, stream, identity);
alter table backfill.ledger add column split json;
comment on column backfill.held.reference is 'Foreign key whose parent is missing, as its columns, their types and the parent; null where the row waits for none, or nobody knows';
comment on column backfill.held.parent_key is 'Text of the columns of that foreign key, in its order: what the parent must have';
comment on column backfill.held.retried_at is 'When the raw text was put through the mapping again last; null where never';
comment on column backfill.ledger.split is 'Pages of the walk that always failed, each split off as a task of its own: a list of number, place and reason; null where there is none';
`
