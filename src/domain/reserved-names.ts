// Owns the names that no dimension may have, because a dimension is also a flag of its own name and would silently override the command's.

/** Flags of the commands, today's and those kept free for tomorrow, as typed. A test of the commands holds their flags against this list. */
export const reservedFlagNames: readonly string[] = [
  'adopt',
  'agree',
  'all',
  'batch-size',
  'check',
  'claim',
  'code',
  'color',
  'concurrency',
  'config',
  'confirm',
  'cursor',
  'database',
  'dead',
  'demo',
  'dismiss',
  'dry-run',
  'exclude',
  'force',
  'format',
  'from-file',
  'from-ledger',
  'held',
  'help',
  'json',
  'limit',
  'log-level',
  'max-requests',
  'max-runtime',
  'max-tasks',
  'no-color',
  'note',
  'order',
  'page-size',
  'parsed',
  'partition',
  'priority',
  'quiet',
  'raw',
  'restore',
  'resume',
  'row',
  'since',
  'source',
  'stream',
  'strict',
  'task',
  'timezone',
  'until-empty',
  'verbose',
  'verify-only',
  'version',
  'watch',
  'workspace',
  'yes',
]

const folded = new Set(reservedFlagNames.map(fold))

/** True where a dimension of this name would override a flag: `max_runtime` is `--max-runtime`. */
export function isReservedName(dimension: string): boolean {
  return folded.has(fold(dimension))
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}
