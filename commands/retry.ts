import { Flags } from '@oclif/core'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'
import { ConfigError } from '../src/domain/errors.js'

export default class Retry extends WorkspaceCommand {
  static override summary = 'put dead tasks back, or held rows, or dismiss either'
  static override description =
    'a task keeps its id and goes on where its walk stands. one of --task, --code and --all must be typed; streams and dimensions narrow it.\nwith --held, rows that were set aside are put through the definition as it is today, without a request to the source: --code, streams and dimensions choose among them. exit 3 where one is still held that neither waits for its parent nor was given up.\nwith --dismiss dead tasks are cancelled instead: they count as wrong no more, and are never tried again.\nwith --held --dismiss rows are given up: they stay set aside, listed apart by "status --held", and neither status nor verify complains of them; a walk or --held that can store them still does, and a record that the source changes is held anew. a source, a stream or --code must be typed.'
  // Written out: what goes with what is lost in the generated line.
  static override usage = [
    '<%= command.id %> [SOURCE[.STREAM]...] (--task N... | --code CODE... | --all) [--agree | --dismiss [--note TEXT]] [--partition name=value...] [--workspace DIR] [--json]',
    '<%= command.id %> [SOURCE[.STREAM]...] --held [--code CODE...] [--partition name=value...] [--workspace DIR] [--json]',
    '<%= command.id %> (SOURCE[.STREAM]... | --code CODE...) --held --dismiss [--note TEXT] [--partition name=value...] [--workspace DIR] [--json]',
  ]
  static override examples = [
    '<%= config.bin %> <%= command.id %> --task 17',
    '<%= config.bin %> <%= command.id %> acme.users --code http_404',
    '<%= config.bin %> <%= command.id %> --all',
    '<%= config.bin %> <%= command.id %> --task 17 --agree',
    '<%= config.bin %> <%= command.id %> --dismiss --task 17 --note "closed in 2019"',
    '<%= config.bin %> <%= command.id %> --held acme.users --code invalid_value',
    '<%= config.bin %> <%= command.id %> --held --dismiss acme.users --code invalid_value --note "dates of 1899"',
  ]
  static override flags = {
    task: Flags.string({
      summary: 'this task, by number or id; repeat for more',
      helpValue: 'N',
      multiple: true,
      multipleNonGreedy: true,
    }),
    code: Flags.string({
      summary: 'the dead, or the held rows, with this code, as status names it; repeat for more',
      helpValue: 'CODE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    all: Flags.boolean({ summary: 'all the dead' }),
    agree: Flags.boolean({
      summary: 'agree to the deletion that stopped them (prune_too_many, prune_empty)',
      exclusive: ['dismiss'],
    }),
    dismiss: Flags.boolean({ summary: 'give them up for good instead' }),
    note: Flags.string({ summary: 'why they are dismissed, for whoever reads status', helpValue: 'TEXT' }),
    held: Flags.boolean({
      summary: 'held rows instead of dead tasks: all that match',
      exclusive: ['task', 'all', 'agree'],
    }),
    resume: Flags.boolean({ hidden: true }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Retry)
    if (reading.flags.resume) {
      throw new ConfigError('resume', 'read --resume found nothing to do: the worker resumes by itself', {
        hint: 'run "backfill worker"; for dead tasks "backfill retry --task N", "--code CODE" or "--all"; for a paused source "backfill resume SOURCE"',
      })
    }
    if (reading.flags.note !== undefined && !reading.flags.dismiss) {
      throw new ConfigError('usage', 'read --note found no --dismiss', {
        hint: 'a note is kept for what is dismissed only: add --dismiss, or leave --note out',
      })
    }
    if (reading.flags.held && reading.flags.dismiss) {
      requireWord(reading)
      const { runDismissHeld } = await import('../src/cli/retry/run-dismiss-held.js')
      return runDismissHeld(reading, stop)
    }
    if (reading.flags.held) {
      const { runRetryHeld } = await import('../src/cli/retry/run-retry-held.js')
      return runRetryHeld(reading, stop)
    }
    const { runRetry } = await import('../src/cli/retry/run-retry.js')
    return runRetry(reading, stop)
  }
}

/** Everything at once is nobody's decision. @throws ConfigError `no_selector` */
function requireWord({
  isNamed,
  flags,
}: {
  readonly isNamed: boolean
  readonly flags: { readonly code?: string[] | undefined }
}): void {
  if (isNamed || flags.code !== undefined) return
  throw new ConfigError('no_selector', 'retry --held --dismiss needs to be told which rows to give up', {
    hint: 'name a source or SOURCE.STREAM, or a --code; "backfill status --held" lists them',
  })
}
