/**
 * The base of all commands: reads flags, prints a failure once, and turns it into the exit code. Owns the one place where an error meets oclif. Loads nothing
 * that costs: a command imports its use case when it runs.
 */
import { Command, type Interfaces } from '@oclif/core'
import { nearest } from '../domain/nearest.js'
import { redactor } from '../log/redact.js'
import { type Failure, failureOf, systemCode } from './exit.js'
import { batchSizeFlag, jsonFlag, workspaceFlag } from './flags.js'
import { complainOf, drain, failureDocument, forgiveClosedPipes, sayJson } from './say.js'
import { listenForSignals, type Stop } from './signals.js'

export abstract class BackfillCommand extends Command {
  /** Names of the flags beside the command's own: the workspace's dimensions. */
  #more: readonly string[] = []

  static override baseFlags = { workspace: workspaceFlag, json: jsonFlag, 'batch-size': batchSizeFlag }

  /** The command's work. Answers its exit code; throws for everything that ends it early. */
  protected abstract perform(stop: Stop): Promise<number>

  /** The exit code of the whole, from that of the work. */
  protected concluded(exitCode: number): number {
    return exitCode
  }

  /** Runs `perform`, prints what went wrong, waits until everything is printed, and exits. */
  override async run(): Promise<void> {
    forgiveClosedPipes()
    const stop = listenForSignals()
    const ended = await this.perform(stop).catch((error: unknown) => this.fail(error, stop.exitCode()))
    const exitCode = this.concluded(ended)
    stop.dispose()
    await drain()
    if (exitCode !== 0) this.exit(exitCode)
  }

  private fail(error: unknown, signalCode: number | null): number {
    if (systemCode(error) === 'EPIPE') return 0
    const failure = this.guessFlag(failureOf(error, signalCode))
    this.tell(failure)
    return failure.exitCode
  }

  /** Names the flag that a mistyped one was probably meant to be. */
  private guessFlag(failure: Failure): Failure {
    const typed = /^nonexistent flags?: (?:--)?([\w-]+)/.exec(failure.message)?.[1]
    if (typed === undefined || failure.code !== 'usage') return failure
    const { flags, baseFlags } = this.ctor
    const guess = nearest(typed, [...Object.keys({ ...baseFlags, ...flags }), ...this.#more])
    return guess === null ? failure : { ...failure, message: `${failure.message} (did you mean "--${guess}")` }
  }

  /** With `--json` one document on stdout, else text on stderr. A stop that was asked for is no news. */
  private tell(failure: Failure): void {
    const redact = redactor(process.env)
    if (this.wantsJson()) sayJson(JSON.parse(redact(JSON.stringify(failureDocument(failure)))))
    else if (failure.code !== 'stopped') complainOf(failure, redact)
    if (this.wantsJson() && failure.stack !== null) complainOf(failure, redact)
  }

  /** Also before the flags are read, and where they could not be. */
  protected wantsJson(): boolean {
    const end = this.argv.indexOf('--')
    const isTyped = (end === -1 ? this.argv : this.argv.slice(0, end)).includes('--json')
    return isTyped || /^(1|true|yes)$/i.test(process.env.BACKFILL_JSON ?? '')
  }

  /** The command's flags, and `more`: those of the workspace's dimensions, by name. */
  protected async readFlags<C extends typeof BackfillCommand>(command: C, more: object = {}): Promise<ReadFlags<C>> {
    const { flags, baseFlags, args, strict } = command
    this.#more = Object.keys(more)
    const read = await this.parse({ flags: { ...flags, ...more }, baseFlags, args, strict })
    return read as unknown as ReadFlags<C>
  }
}

export interface ReadFlags<C extends typeof BackfillCommand> {
  readonly flags: Interfaces.InferredFlags<C['baseFlags'] & C['flags']>
  readonly args: Readonly<Record<string, unknown>>
}
