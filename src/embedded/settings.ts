/** The server's settings: a small machine, bulk loads, nothing lost at a power cut. What an operator changes by ALTER SYSTEM counts, but for access. */

/** Written into postgresql.conf when the cluster is made. */
export const clusterSettings: Readonly<Record<string, string>> = {
  max_connections: '50',
  shared_buffers: '128MB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  // A load writes more than the default 1 GB between checkpoints; each checkpoint more writes every page in full again.
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_compression: 'on',
  jit: 'off',
  // Two cores, one of them the worker's; and parallel queries need /dev/shm, of which containers have 64 MB.
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',
  timezone: 'UTC',
  // The user is called as the ledger's schema is: what a statement names without a schema belongs in public all the same.
  search_path: 'public',
  log_timezone: 'UTC',
  // Starts, recoveries, crashes. Not each refused row: it would carry the row's text into the log, and the client has it anyway.
  log_min_messages: 'log',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] ',
}

/** Given at each start: no TCP, a socket for the owner only, access by files that this adapter writes. */
export function accessSettings(paths: { readonly socket: string; readonly hba: string; readonly ident: string }) {
  return {
    listen_addresses: '',
    unix_socket_directories: `"${paths.socket.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    hba_file: paths.hba,
    ident_file: paths.ident,
  } satisfies Readonly<Record<string, string>>
}

/** `-c name=value` for each setting. */
export function settingArguments(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
