import { Flags } from '@oclif/core'
import { positive } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'

export default class Pruned extends WorkspaceCommand {
  static override summary = 'show rows that were deleted because the source no longer has them, and put them back'
  static override description =
    'streams with "disposition: mirror" or "replace" delete at the end of a proven walk; every deleted row is kept here, with all its columns.\n--restore puts rows back that the table lacks now; the next proven walk deletes them again where the source still lacks them.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> acme.users --since 2d',
    '<%= config.bin %> <%= command.id %> acme.users --task 17 --restore',
  ]
  static override flags = {
    since: Flags.string({ summary: 'only rows deleted within this time, like 12h or 7d', helpValue: 'DURATION' }),
    task: Flags.string({
      summary: 'only rows that this task deleted, by number or id; repeat for more',
      helpValue: 'N',
      multiple: true,
      multipleNonGreedy: true,
    }),
    row: Flags.string({
      summary: 'only this row, by its number here; repeat for more',
      helpValue: 'N',
      multiple: true,
      multipleNonGreedy: true,
    }),
    limit: Flags.custom<number>({
      summary: 'rows to show at most [default: 50]',
      helpValue: 'ROWS',
      parse: async (text) => positive('--limit', text),
    })(),
    restore: Flags.boolean({
      summary: 'put the selected rows back; one of a stream, --task, --row and --since must be typed',
    }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Pruned)
    const { runPruned } = await import('../src/cli/pruned/run-pruned.js')
    return runPruned(reading, stop)
  }
}
