/**
 * Owns the version of the schema `backfill` that finds held rows of split pages and full walks by the partition they are part of. Never edited once released;
 * later versions are steps of their own.
 */

/**
 * Names that only say how a partition is walked come first in its text (page-task.ts): without them it is the whole one's. Of a row of `backfill.held`; word for
 * word that of the index, or the index is of no use.
 */
export const wholeOfHeld = String.raw`regexp_replace(partition, '^\{(?:"#(?:[^"\\]|\\.)*":"(?:[^"\\]|\\.)*",?)+', '{')`
/** True of a row of `backfill.held` whose partition has such names. */
export const isPartOfHeld = `left(partition, 3) = '{"#'`

/** Few rows are: without it each question about a partition reads all that is held of its stream. */
export const heldWholeSchema = `
create index held_by_whole on backfill.held (source, stream, (${wholeOfHeld})) where ${isPartOfHeld};
`
