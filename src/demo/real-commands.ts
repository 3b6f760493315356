/**
 * Runs the product's own commands as a user would: as processes, with their output on this terminal. Owns what reaches them: an environment without
 * anybody's database or settings, and this process's stop signal, once.
 */
import { execa } from 'execa'
import { StoppedError } from '../domain/errors.js'

export interface CommandSettings {
  /** Absolute path of `bin/run.js`. */
  readonly program: string
  /** What to say before a command starts. */
  readonly announce: (line: string) => void
  /** Aborted to stop; the running command is told, and has ended when the call ends. */
  readonly signal: AbortSignal
}

export interface RealCommands {
  /** Runs it with its output on this terminal; answers its exit code. @throws StoppedError when the signal was aborted. */
  run(args: readonly string[]): Promise<number>
  /** Runs it silently; answers its JSON document, or null where it gave none. @throws StoppedError when the signal was aborted. */
  read(args: readonly string[]): Promise<unknown>
}

export function realCommands(settings: CommandSettings): RealCommands {
  return {
    run: async (args) => {
      settings.announce(`$ backfill ${args.map(quoted).join(' ')}`)
      const child = start(settings, args, 'inherit')
      const { exitCode } = await supervised(settings, child)
      return exitCode
    },
    read: async (args) => {
      const { stdout } = await supervised(settings, start(settings, [...args, '--json'], 'pipe'))
      try {
        return JSON.parse(stdout) as unknown
      } catch {
        return null
      }
    },
  }
}

/** The caller's environment without what could lead a command to a real database, another workspace, or other settings. */
export function cleanEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isForeign = (name: string) => name === 'DATABASE_URL' || name.startsWith('PG') || name.startsWith('BACKFILL_')
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isForeign(name)))
}

function start(settings: CommandSettings, args: readonly string[], stdout: 'inherit' | 'pipe') {
  return execa(process.execPath, [settings.program, ...args], {
    env: cleanEnvironment(process.env),
    extendEnv: false,
    stdin: 'ignore',
    stdout,
    stderr: 'inherit',
    reject: false,
    // A session of its own: Ctrl-C reaches this process only, which passes it on once. A command that gets it twice takes the second as "at once".
    detached: true,
    cleanup: false,
  })
}

async function supervised(
  settings: CommandSettings,
  child: ReturnType<typeof start>,
): Promise<{ readonly exitCode: number; readonly stdout: string }> {
  const { signal } = settings
  const passOn = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', passOn, { once: true })
  // A second signal ends this process at once: the command gets its second one, too.
  process.once('exit', passOn)
  if (signal.aborted) passOn()
  const result = await child
  signal.removeEventListener('abort', passOn)
  process.off('exit', passOn)
  if (signal.aborted) throw new StoppedError()
  return { exitCode: result.exitCode ?? 1, stdout: typeof result.stdout === 'string' ? result.stdout : '' }
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
