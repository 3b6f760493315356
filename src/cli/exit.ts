/** One translation from our errors to exit codes (DESIGN.md §9) and to the words that are printed. Nothing else in the product decides an exit code. */
import {
  BackfillError,
  ConfigError,
  CredentialsRefused,
  InvariantError,
  OverBudgetError,
  type Problem,
  PromotionConflict,
  StoppedError,
  TemporaryFailure,
  TerminalError,
  TransientError,
} from '../domain/errors.js'
import { usageText } from './usage-text.js'

export const exitCodes = { done: 0, bug: 1, usage: 2, attention: 3, temporary: 75 } as const

/** What is said about a failure, on stderr or as `{ error }` on stdout. */
export interface Failure {
  readonly exitCode: number
  readonly code: string
  readonly message: string
  readonly hint: string | null
  readonly problems: readonly Problem[]
  /** Only of our own bugs. */
  readonly stack: string | null
}

/** How an error ends the command. `signalCode` is the exit code of the signal that stopped it, if one did. */
export function failureOf(error: unknown, signalCode: number | null = null): Failure {
  if (error instanceof StoppedError) return { ...said(error), exitCode: signalCode ?? exitCodes.done }
  if (error instanceof InvariantError) return { ...said(error), exitCode: exitCodes.bug, stack: error.stack ?? null }
  if (error instanceof BackfillError) return { ...said(error), exitCode: codeOf(error) }
  return usageFailure(error) ?? systemFailure(error) ?? bug(error)
}

function codeOf(error: BackfillError): number {
  if (error instanceof ConfigError || error instanceof PromotionConflict) return exitCodes.usage
  if (error instanceof TransientError || error instanceof TemporaryFailure) return exitCodes.temporary
  if (error instanceof TerminalError || error instanceof CredentialsRefused) return exitCodes.attention
  if (error instanceof OverBudgetError) return exitCodes.done
  return exitCodes.temporary
}

function said(error: BackfillError): Omit<Failure, 'exitCode'> {
  const problems = error instanceof ConfigError ? error.problems : []
  return { code: error.code, message: unparsed(error.message), hint: error.hint ?? null, problems, stack: null }
}

/** The parser writes its own words around the message of an error that a flag's `parse` throws. */
function unparsed(message: string): string {
  return message.replace(/^Parsing --\S+ \n\t/, '').replace(/\nSee more help with --help$/, '')
}

/** The parser's own errors carry exit 2 and, below their first line, lists or an invitation to read the help. */
function usageFailure(error: unknown): Failure | null {
  if (!(error instanceof Error) || !('oclif' in error) || !('parse' in error || error.constructor.name === 'CLIError'))
    return null
  const lines = error.message.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('See more help'))
  const message = usageText(lines)
  return {
    exitCode: exitCodes.usage,
    code: 'usage',
    message,
    hint: 'add --help for the flags that there are',
    problems: [],
    stack: null,
  }
}

/** Errors of the file system: a folder that cannot be written is the configuration's fault, a full disk is not. */
function systemFailure(error: unknown): Failure | null {
  const code = systemCode(error)
  if (!(error instanceof Error) || code === null) return null
  const known = systemHints[code]
  if (known === undefined) return null
  const [exitCode, hint] = known
  return {
    exitCode,
    code: code.toLowerCase(),
    message: error.message.replace(`${code}: `, ''),
    hint,
    problems: [],
    stack: null,
  }
}

const permission = 'give the user who runs backfill the right to write there'
const space = 'make room on the disk, then run the command again'
const systemHints: Readonly<Record<string, readonly [number, string]>> = {
  EACCES: [exitCodes.usage, permission],
  EPERM: [exitCodes.usage, permission],
  EROFS: [exitCodes.usage, 'the file system is read-only: move the workspace'],
  ENOTDIR: [exitCodes.usage, 'a file is in the place of a folder: move it away'],
  ENOSPC: [exitCodes.temporary, space],
  EDQUOT: [exitCodes.temporary, space],
  EMFILE: [exitCodes.temporary, 'too many open files: raise "ulimit -n"'],
  ERR_DLOPEN_FAILED: [
    exitCodes.usage,
    'run "npm rebuild better-sqlite3" in the folder of backfill: it was built for another Node',
  ],
}

/** The code of a Node system error, `EPIPE`; null for anything else. */
export function systemCode(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? error.code : null
  return typeof code === 'string' && /^E[A-Z]+$/.test(code) ? code : null
}

function bug(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  const stack = error instanceof Error ? (error.stack ?? null) : null
  return { exitCode: exitCodes.bug, code: 'bug', message, hint: null, problems: [], stack }
}

/** `file:line: at "path" expected …, found …`. */
export function problemLine(problem: Problem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`
  const path = problem.path === '' ? '' : ` ${problem.path}:`
  return `${place}:${path} expected ${problem.expected}, found ${problem.found}`
}
