import { Flags } from '@oclif/core'
import { positive } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'

export default class Status extends WorkspaceCommand {
  static override summary = 'show what is queued, running, done and dead, and when it ends'
  static override description =
    'reads only queue.db, takes no lock, writes nothing; may be run by any user who may read it. with --held it reads the database, too.\nexit 3 with --check where anything is wrong: dead tasks, parked sources, a failed last worker or verify, a seed that was cut off, a stuck or missing worker, walks that differ from the source, a verify that found a difference, tasks that no definition names.'
  // Written out: what goes with what is lost in the generated line.
  static override usage =
    '<%= command.id %> [SOURCE[.STREAM]...] [--workspace DIR] [--partition name=value...] [--check] [--json | --watch] [--dead | --task N | --held [--json [--raw] [--limit ROWS]]]'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> --dead',
    '<%= config.bin %> <%= command.id %> --task 17',
    '<%= config.bin %> <%= command.id %> --held acme.users',
    '<%= config.bin %> <%= command.id %> --check --json',
  ]
  static override flags = {
    watch: Flags.boolean({
      summary: 'draw again every two seconds, until ctrl-c',
      exclusive: ['json', 'task'],
      env: 'BACKFILL_WATCH',
    }),
    dead: Flags.boolean({ summary: 'only the dead tasks, all of them', env: 'BACKFILL_DEAD' }),
    task: Flags.string({ summary: 'everything about one task, by number or id', helpValue: 'N' }),
    held: Flags.boolean({
      summary: 'the rows that are set aside, by stream, code and reason; from the database',
      exclusive: ['watch', 'dead', 'task'],
    }),
    raw: Flags.boolean({
      summary: 'with --held --json: the records themselves, which may be private',
      dependsOn: ['held', 'json'],
    }),
    limit: Flags.custom<number>({
      summary: 'with --held --json: single rows at most [default: 100]',
      helpValue: 'ROWS',
      dependsOn: ['held', 'json'],
      parse: async (text) => positive('--limit', text, 0),
    })(),
    check: Flags.boolean({ summary: 'exit 3 with anything wrong, for monitoring', env: 'BACKFILL_CHECK' }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Status)
    if (reading.flags.held) {
      const { showHeld } = await import('../src/cli/status/show-held.js')
      return showHeld(reading, stop)
    }
    const { showStatus } = await import('../src/cli/status/show.js')
    return showStatus(reading, stop)
  }
}
