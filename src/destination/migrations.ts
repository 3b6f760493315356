/**
 * Owns the schema `backfill` in the user's database: what is in it, in which version, and the sentence that explains each column. The list is append-only; a
 * database newer than this code is refused. Migrators are serialised by an advisory lock; each version is one transaction, so a kill leaves a whole one.
 */
import { ConfigError } from '../domain/errors.js'
import { type Connection, commit } from './connections.js'
import { quoteLiteral } from './identifiers.js'
import { dismissedSchema } from './schema-dismissed.js'
import { followSchema } from './schema-follow.js'
import { heldSchema } from './schema-held.js'
import { heldWholeSchema } from './schema-held-whole.js'
import { placeSchema } from './schema-place.js'

type Comments = Readonly<Record<string, string>>

const meta: Comments = {
  '': 'One row: which database this is, and which workspace fills it',
  database: 'Identity of this database, minted when the schema was made; queue.db holds the same',
  version: 'Version of the schema "backfill"; a program that knows only lower ones refuses to work',
  queue: 'Identity of the queue.db that fills this database; another one is refused',
  workspace: 'Folder of the workspace with that queue.db, for messages',
  last_run: 'The last run that wrote rows; queue.db holds the same, so that a restored store is recognised',
  migrated_at: 'When the schema reached its version',
}

const ledger: Comments = {
  '': 'One row a task: what is promoted and where its walk stands; written in the transaction that promotes the rows',
  task: 'Identity of the task, as in queue.db; never reused',
  source: 'Source of the task; a claim that finds another one stops',
  stream: 'Stream of the task; a claim that finds another one stops',
  partition: 'Partition of the task as JSON with sorted names; a claim that finds another one stops',
  epoch: 'Raised by every claim; a flush under an older one is refused',
  sequence: 'Flushes so far; each flush is accepted once, by comparing and raising it',
  walk: 'Identity of the walk: one pass through the partition from its beginning; null before the first',
  walk_started_at: 'When the walk began',
  page_size: 'Rows asked for per request in this walk; null: the source decides',
  request_hash: 'Hash of the request definition; a walk under another one starts again',
  cursor:
    'Where the next request of the walk stands, in the words of the source; null at the beginning and after the end',
  loop: 'State by which a walk that goes round in circles is found, kept here so that a loop longer than a run is found too',
  walk_pages: 'Pages of the walk that are promoted',
  walk_received: 'Raw rows of the walk that are promoted, held or known duplicates',
  walk_distinct: 'Rows of the walk that were stored or held; a key that came again in a later flush counts again',
  expected: 'The count of the partition by the source when the walk began; null where it gave none',
  expected_trust: 'How far that count is to be trusted: exact, or at least',
  pages: 'Pages of all walks of the task',
  received: 'Raw rows of all walks: created + updated + unchanged + held + duplicates',
  created: 'Rows that were new in the table',
  updated: 'Rows that changed in the table',
  unchanged: 'Rows that the table held already, as they are or newer',
  held: 'Rows set aside in backfill.held',
  duplicates: 'Rows whose key came again in the same flush, or was held before in the same walk',
  requests: 'Requests sent for the task',
  done: 'True when the walk has reached its end',
  proof: 'How far the end is proven against the count of the source: proven, unproven or differs',
  claimed_at: 'When the task was claimed last',
  moved_at: 'When its last flush was promoted',
  finished_at: 'When it was done',
}

const held: Comments = {
  '': 'Records that were set aside, each with its reason and its raw text; one row a key and partition',
  source: 'Source of the record',
  stream: 'Stream of the record',
  partition: 'Partition of the record as JSON with sorted names',
  identity: 'Hash of the key, or of the raw text where the key cannot be read: the same record is held once',
  task: 'Task that met the record last',
  walk: 'Walk that met the record last',
  page: 'Page of that walk that the record came with',
  row_number: 'Position in that page, from 1',
  key: 'Text of the columns of the key, with tabs between; null where it cannot be read',
  version: 'Text of the version column; null where there is none',
  code: 'Stable reason, for selecting: invalid_value, missing_value, too_long, unstorable_text, parent_missing, rejected, …',
  reason: 'What is wrong, in a sentence; for "rejected" the words of the server',
  raw: 'The record as JSON text, as the source sent it',
  held_at: 'When it was set aside last',
}

const first = `
create schema if not exists backfill;
create table backfill.meta (
  database uuid not null default gen_random_uuid(),
  version integer not null,
  queue text,
  workspace text,
  last_run text,
  migrated_at timestamptz not null default now(),
  constraint meta_queue_has_workspace check ((queue is null) = (workspace is null))
);
create unique index meta_is_one_row on backfill.meta ((true));
create table backfill.ledger (
  task uuid primary key,
  source text not null,
  stream text not null,
  partition text not null,
  epoch bigint not null,
  sequence bigint not null default 0,
  walk text,
  walk_started_at timestamptz,
  page_size bigint,
  request_hash text,
  cursor json,
  loop json,
  walk_pages bigint not null default 0,
  walk_received bigint not null default 0,
  walk_distinct bigint not null default 0,
  expected bigint,
  expected_trust text,
  pages bigint not null default 0,
  received bigint not null default 0,
  created bigint not null default 0,
  updated bigint not null default 0,
  unchanged bigint not null default 0,
  held bigint not null default 0,
  duplicates bigint not null default 0,
  requests bigint not null default 0,
  done boolean not null default false,
  proof text,
  claimed_at timestamptz not null default now(),
  moved_at timestamptz,
  finished_at timestamptz,
  constraint ledger_walk_has_start check ((walk is null) = (walk_started_at is null)),
  constraint ledger_expected_has_trust check ((expected is null) = (expected_trust is null) and expected_trust in ('exact', 'at least')),
  constraint ledger_done_has_proof check (done = (finished_at is not null) and (not done or proof is not null)),
  constraint ledger_proof_known check (proof in ('proven', 'unproven', 'differs')),
  constraint ledger_counts_add_up check (received = created + updated + unchanged + held + duplicates)
);
create index ledger_finished_by_partition on backfill.ledger (source, stream, partition, finished_at) where done;
create table backfill.held (
  source text not null,
  stream text not null,
  partition text not null,
  identity text not null,
  task uuid not null,
  walk text not null,
  page bigint not null,
  row_number bigint not null,
  key text,
  version text,
  code text not null,
  reason text not null,
  raw text not null,
  held_at timestamptz not null default now(),
  constraint held_once_per_partition primary key (source, stream, partition, identity)
);
${commentsOf('meta', meta)}${commentsOf('ledger', ledger)}${commentsOf('held', held)}
insert into backfill.meta (version) values (0);`

const seen: Comments = {
  '': 'When a key of a mirrored stream was seen last: what no walk brings any more is looked for here',
  source: 'Source of the stream',
  stream: 'Stream of the key',
  key: 'Values of the columns of the key, as a JSON list',
  partition: 'Partition that brought the key, as JSON with sorted names',
  walk: 'Walk that brought it last; null: only asked after',
  seen_at: 'When it was promoted or held last; null: never',
  gone_at: 'When a request of its own was answered that it is gone; null: not, or seen again since',
}

const pruned: Comments = {
  '': 'Rows that were deleted because the source no longer has them; "backfill pruned" shows them and puts them back',
  id: 'Number of the row',
  source: 'Source of the stream',
  stream: 'Stream of the row',
  partition: 'Partition whose walk ended with the deletion, as JSON with sorted names',
  task: 'Task whose walk ended with the deletion',
  walk: 'That walk',
  table_schema: 'Schema of the table that held it',
  table_name: 'Table that held it',
  key: 'Values of the columns of the key, as a JSON list; null for a stream without a key',
  record: 'The row as it was in the table, with all columns',
  pruned_at: 'When it was deleted',
  restored_at: 'When it was put back; null: not',
}

const ledgerPruning: Comments = {
  walk_since:
    'When, by the clock of the server, the task was claimed for the lease in which the walk began: what was seen later was seen during the walk',
  proven_since:
    'The same of a walk of this task that was proven before and is walked again, to confirm what is missing',
  missing: 'Rows that the walk did not bring, where they were too many to delete without an operator',
  agreed: 'Rows that an operator agreed to delete',
  kept: 'Rows that are gone at the source and were kept, because rows of other tables refer to them',
  pruned: 'Rows deleted at the end of a walk',
}

const second = `
create table backfill.seen (
  source text not null,
  stream text not null,
  key jsonb not null,
  partition text not null,
  walk text,
  seen_at timestamptz,
  gone_at timestamptz,
  constraint seen_once_per_partition primary key (source, stream, partition, key)
);
create index seen_by_key on backfill.seen (source, stream, key);
create table backfill.pruned (
  id bigint generated always as identity primary key,
  source text not null,
  stream text not null,
  partition text not null,
  task uuid not null,
  walk text not null,
  table_schema text not null,
  table_name text not null,
  key jsonb,
  record jsonb not null,
  pruned_at timestamptz not null default now(),
  restored_at timestamptz
);
create index pruned_by_stream on backfill.pruned (source, stream, pruned_at);
alter table backfill.ledger add walk_since timestamptz, add proven_since timestamptz, add missing bigint, add agreed bigint,
  add kept bigint not null default 0, add pruned bigint not null default 0;
${commentsOf('seen', seen)}${commentsOf('pruned', pruned)}${commentsOf('ledger', ledgerPruning)}`

/** Append only: a released entry never changes. */
const migrations: readonly string[] = [
  first,
  second,
  heldSchema,
  followSchema,
  dismissedSchema,
  placeSchema,
  heldWholeSchema,
]

/** Version of the schema that this code reads and writes. */
export const schemaVersion = migrations.length
/** The version in which `backfill.held` learnt of rows that were given up. */
export const dismissedSince = migrations.indexOf(dismissedSchema) + 1

function commentsOf(table: string, comments: Comments): string {
  return Object.entries(comments)
    .map(([column, sentence]) => {
      const target = column === '' ? `table backfill.${table}` : `column backfill.${table}.${column}`
      return `comment on ${target} is ${quoteLiteral(sentence)};\n`
    })
    .join('')
}

/** Brings the schema to this code's version. @throws ConfigError `database_newer` naming both versions. */
export async function migrate(connection: Connection): Promise<void> {
  if ((await readVersion(connection)) === schemaVersion) return
  await connection.query({ text: 'begin' })
  await connection.query({ text: "set local lock_timeout = '30s'" })
  await connection.query({ text: "select pg_advisory_xact_lock(hashtextextended('backfill schema', 0))" })
  // Read again: another migrator may have been first while this one waited.
  const version = await readVersion(connection)
  for (const text of migrations.slice(version)) await connection.query({ text })
  if (version < schemaVersion) {
    await connection.query({ text: 'update backfill.meta set version = $1, migrated_at = now()' }, [schemaVersion])
  }
  await commit(connection)
}

async function readVersion(connection: Connection): Promise<number> {
  // Not to_regclass: in a transaction that waited for the lock it may answer from a cache that has not heard of the new schema.
  const text =
    "select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'backfill' and c.relname = 'meta'"
  const exists = await connection.query({ text })
  if (exists.rows.length === 0) return 0
  const found = await connection.query<{ version: number }>({ text: 'select version from backfill.meta' })
  const version = found.rows[0]?.version ?? 0
  if (version <= schemaVersion) return version
  throw new ConfigError(
    'database_newer',
    `open schema "backfill" found version ${version}, this program knows ${schemaVersion}`,
    {
      hint: 'install the version of api-backfill that made it, or a newer one',
    },
  )
}
