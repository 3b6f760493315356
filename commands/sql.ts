import { Args } from '@oclif/core'
import { BackfillCommand } from '../src/cli/command.js'
import type { Stop } from '../src/cli/signals.js'
import { directoryIn, loadWorkspaceAt } from '../src/cli/workspace-command.js'
import { useZone } from '../src/cli/zone.js'

export default class Sql extends BackfillCommand {
  static override summary = "run one statement on the workspace's database, embedded or not"
  static override examples = [
    '<%= config.bin %> <%= command.id %> "select count(*) from users"',
    '<%= config.bin %> <%= command.id %> --json "select * from backfill.ledger limit 5"',
  ]
  static override args = {
    statement: Args.string({
      description: 'one SQL statement, quoted; - reads it from standard input',
      required: true,
    }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const { args, flags } = await this.readFlags(Sql)
    const workspace = await loadWorkspaceAt(directoryIn(this.argv))
    useZone(workspace.timezone)
    const { runSql } = await import('../src/cli/sql/run-sql.js')
    return runSql({ workspace, statement: String(args.statement), isJson: flags.json }, stop)
  }
}
