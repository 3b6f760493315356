/**
 * As whom the server runs. Postgres refuses uid 0 and a uid without an entry in the machine's list of users, so:
 *
 * - `self`: an ordinary user runs it as himself;
 * - `namespace`: root runs it in a user namespace that calls root `nobody`; files stay root's, closed folders stay open;
 * - `other`: where namespaces are forbidden, root runs a copy of the programs as the existing account `nobody`, on a folder of that account.
 *
 * No account is ever created.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'
import { ConfigError } from '../domain/errors.js'
import { type Binaries, programOf } from './binaries.js'
import { environmentFor } from './environment.js'

export type Account = { readonly kind: 'self' } | { readonly kind: 'namespace'; readonly uid: number } | OtherAccount

/** An existing account of the machine that is not this user. */
export interface OtherAccount {
  readonly kind: 'other'
  readonly uid: number
  readonly gid: number
}

/** A command line for `spawn`, with the ids that it is to have. */
export interface Invocation {
  readonly file: string
  readonly args: readonly string[]
  readonly ids: { readonly uid?: number; readonly gid?: number }
}

/** How root, or a user without an entry, gets round Postgres's refusal. */
export type RootMode = 'namespace' | 'copy'

/** The command line that runs a program as the account. The process keeps the pid that `spawn` answers. */
export function invoke(account: Account, program: string, args: readonly string[]): Invocation {
  switch (account.kind) {
    case 'self':
      return { file: program, args, ids: {} }
    case 'namespace':
      return { file: 'unshare', args: ['-U', `--map-user=${String(account.uid)}`, '--', program, ...args], ids: {} }
    case 'other':
      return { file: program, args, ids: { uid: account.uid, gid: account.gid } }
  }
}

/**
 * Chooses the account for a new server.
 * @param folder where the data shall lie; the namespace is tried on it.
 * @throws ConfigError `embedded_no_account` where none of the three works.
 */
export async function chooseAccount(binaries: Binaries, folder: string, mode?: RootMode): Promise<Account> {
  const isRoot = process.getuid?.() === 0
  if (!isRoot && hasEntry()) return { kind: 'self' }
  const nobody = await findNobody()
  const namespace: Account = { kind: 'namespace', uid: nobody.uid }
  if (mode === 'namespace' || (mode === undefined && (await worksIn(namespace, binaries, folder)))) return namespace
  if (isRoot) return nobody
  throw new ConfigError('embedded_no_account', `start the embedded Postgres found no user name for uid ${ownUid()}`, {
    hint: 'run as a user that the machine knows, or set "database:" to the address of a PostgreSQL server',
  })
}

const ownUid = (): string => String(process.getuid?.() ?? 'unknown')

function hasEntry(): boolean {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

/** The account `nobody`, as the machine's list of users has it. */
export async function findNobody(): Promise<OtherAccount> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const fields = /^nobody:[^:]*:(\d+):(\d+):/m.exec(users)
  if (fields === null) {
    throw new ConfigError('embedded_no_account', 'start the embedded Postgres as root found no account "nobody"', {
      hint: 'run as an ordinary user, or set "database:" to the address of a PostgreSQL server',
    })
  }
  return { kind: 'other', uid: Number(fields[1]), gid: Number(fields[2]) }
}

// In the namespace root loses its right to pass over the permissions of other users' folders: whether that matters shows only there.
async function worksIn(account: Account, binaries: Binaries, folder: string): Promise<boolean> {
  const script = 'cd "$1" && test -w . && "$2" --version'
  const { file, args } = invoke(account, '/bin/sh', ['-c', script, 'sh', folder, programOf(binaries, 'postgres')])
  return promisify(execFile)(file, args, { env: environmentFor(binaries), timeout: 10_000 }).then(
    () => true,
    () => false,
  )
}

/** Makes the account the owner of a folder and of everything in it. */
export async function giveTo(account: OtherAccount, folder: string): Promise<void> {
  await promisify(execFile)('chown', ['-R', '-h', `${String(account.uid)}:${String(account.gid)}`, folder])
}
