/**
 * Owns the version of the schema `backfill` in which an operator can give held rows up: when that was, and why. Never edited once released; later versions are
 * steps of their own.
 */

/** Existing rows keep NULL: nobody gave them up. */
export const dismissedSchema = `
alter table backfill.held add column dismissed_at timestamptz, add column dismissal_note text,
  add constraint held_note_is_of_dismissal check (dismissal_note is null or dismissed_at is not null);
comment on column backfill.held.dismissed_at is 'When an operator gave the row up, so that it is no alarm any more; null: not, or the record has come in another form since';
comment on column backfill.held.dismissal_note is 'Why it was given up, in the words of the operator; null where none were typed';
`
