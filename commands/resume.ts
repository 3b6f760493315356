import { BackfillCommand } from '../src/cli/command.js'
import { controlArgs } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { directoryIn, loadWorkspaceAt } from '../src/cli/workspace-command.js'

export default class Resume extends BackfillCommand {
  static override summary = 'go on with a source or a stream that is paused or parked'
  static override description =
    'of a source it ends the pauses of its streams, too, and forgets the failures for which it was parked. for dead tasks there is "retry".'
  static override examples = [
    '<%= config.bin %> <%= command.id %> acme',
    '<%= config.bin %> <%= command.id %> acme.users',
  ]
  static override args = controlArgs

  protected override async perform(_stop: Stop): Promise<number> {
    const { flags, args } = await this.readFlags(Resume)
    const workspace = await loadWorkspaceAt(directoryIn(this.argv))
    const { runResume } = await import('../src/cli/pause/run-resume.js')
    return runResume({ workspace, names: [args['source[.stream]']].flat().map(String), isJson: flags.json })
  }
}
