/** Text to the terminal: people-text on stdout, failures and progress on stderr. A reader that went away (`| head`) is no failure. */
import type { Failure } from './exit.js'
import { problemLine, systemCode } from './exit.js'

/** One text and a line break to stdout. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** One JSON document to stdout; bigints as digits. */
export function sayJson(document: unknown): void {
  const text = JSON.stringify(
    document,
    (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
    2,
  )
  process.stdout.write(`${text}\n`)
}

/** One text and a line break to stderr. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** `Error: …`, every problem on a line, the hint; the stack of our own bugs. */
export function complainOf(failure: Failure, redact: (text: string) => string): void {
  const lines = [`Error: ${failure.message}`]
  for (const problem of failure.problems) lines.push(`  ${problemLine(problem)}`)
  if (failure.hint !== null) lines.push(`Try: ${failure.hint}`)
  if (failure.stack !== null) lines.push(failure.stack, 'This is a bug of backfill: report it with these lines')
  complain(redact(lines.join('\n')))
}

/** The failure as `--json` prints it. */
export function failureDocument({ code, message, hint, problems, exitCode }: Failure): unknown {
  return { error: { code, message, hint, problems: problems.map((problem) => ({ ...problem })), exit_code: exitCode } }
}

/** From now on a closed stdout or stderr ends the command's output, not the command with a stack. */
export function forgiveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error')
    stream.on('error', (error: Error) => {
      const code = systemCode(error)
      // EIO: the terminal is gone (SIGHUP).
      if (code !== 'EPIPE' && code !== 'EIO') throw error
    })
  }
}

/** Resolves when what was written has left the process: `process.exit` would cut it. */
export async function drain(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))),
  )
}
