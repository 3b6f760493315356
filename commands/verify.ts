import { Flags } from '@oclif/core'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'

export default class Verify extends WorkspaceCommand {
  static override summary = 'prove that Postgres holds what the source has'
  static override description =
    'compares the count of each partition with its rows: equal, discrepancy, moved (the source changed since), or unproven (no count to be trusted, or work still owed). counts alone are compared: a row whose values differ, or one in the place of another, is not seen.\nchanges no row, takes no lock, spends a share of the budget. what it complains of stays in status until a verify of that partition takes it back.\nexit 3 on a discrepancy; with --strict also on unproven.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> acme.users --strict',
  ]
  static override flags = {
    strict: Flags.boolean({ summary: 'exit 3 on unproven, too', env: 'BACKFILL_STRICT' }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Verify)
    const { runVerify } = await import('../src/cli/verify/run-verify.js')
    return runVerify(reading, stop)
  }
}
