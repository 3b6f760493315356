import { Flags } from '@oclif/core'
import { integer, pageSizeFlag, positive } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'

export default class Seed extends WorkspaceCommand {
  static override summary = 'turn a source into tasks in queue.db'
  static override description =
    'makes one task for each partition that has none; run it again whenever you like: what is done or open is left alone and said so. A stream that follows another is only told to: the worker makes its tasks as rows come or change.'
  // Written out: what goes with what is lost in the generated line.
  static override usage = [
    '<%= command.id %> [SOURCE[.STREAM]...] [--workspace DIR] [--json] [--partition name=value...] [--dry-run [--max-requests N]] [--page-size ROWS] [--from-file FILE] [--force] [--order newest|oldest] [--priority N]',
    '<%= command.id %> --from-ledger [SOURCE[.STREAM]...] [--workspace DIR] [--json] [--dry-run] [--adopt]',
  ]
  static override examples = [
    '<%= config.bin %> <%= command.id %> acme',
    '<%= config.bin %> <%= command.id %> acme.users --dry-run',
    '<%= config.bin %> <%= command.id %> acme.users --from-file ids.txt --priority 10',
    '<%= config.bin %> <%= command.id %> --from-ledger --dry-run',
  ]
  static override flags = {
    'from-file': Flags.string({
      summary: 'partitions from a file, - for standard input: a value or a JSON object per line',
      helpValue: 'FILE',
    }),
    'dry-run': Flags.boolean({
      summary:
        'make nothing; say what would be made, how many requests that is at least, and how long the budget makes it take',
      env: 'BACKFILL_DRY_RUN',
    }),
    order: Flags.string({
      summary: 'which dates go first',
      options: ['newest', 'oldest'],
      default: 'newest',
      env: 'BACKFILL_ORDER',
    }),
    priority: Flags.custom<number>({
      summary: "higher goes first; the stream's own priority by default",
      helpValue: 'N',
      env: 'BACKFILL_PRIORITY',
      parse: async (text) => integer('--priority', text),
    })(),
    force: Flags.boolean({
      summary:
        'new tasks for finished and open partitions, too; open ones are cancelled for them. Where changes alone are asked for otherwise: a walk of everything',
    }),
    'max-requests': Flags.custom<number>({
      summary: 'requests that a dry run may send',
      helpValue: 'N',
      default: 100,
      env: 'BACKFILL_MAX_REQUESTS',
      parse: async (text) => positive('--max-requests', text, 0),
    })(),
    'page-size': pageSizeFlag,
    'from-ledger': Flags.boolean({
      summary: 'rebuild a lost queue.db from the database: what is done, and where each walk stands; asks no source',
      exclusive: ['from-file', 'force', 'order', 'priority'],
    }),
    adopt: Flags.boolean({
      summary: 'take a database over that the queue of another folder is bound to',
      dependsOn: ['from-ledger'],
    }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Seed)
    const { runSeed } = await import('../src/cli/seed/run-seed.js')
    return runSeed(reading, stop)
  }
}
