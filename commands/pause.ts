import { Flags } from '@oclif/core'
import { BackfillCommand } from '../src/cli/command.js'
import { controlArgs, durationMs } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { directoryIn, loadWorkspaceAt } from '../src/cli/workspace-command.js'

export default class Pause extends BackfillCommand {
  static override summary = 'stop claiming tasks of a source or a stream'
  static override description =
    'holds until it is resumed, or for as long as --for says, across runs. a worker at work notices within a few seconds: what its tasks have fetched is promoted, and they go back to ready at no cost. verify and dry runs, which you start yourself, still ask.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> acme',
    '<%= config.bin %> <%= command.id %> acme.users --for 2h --note "maintenance at acme"',
  ]
  static override args = controlArgs
  static override flags = {
    for: Flags.custom<number>({
      summary: 'resume by itself after this long: 30m, 2h [default: when you resume it]',
      helpValue: 'TIME',
      parse: async (text) => durationMs('--for', text),
    })(),
    note: Flags.string({ summary: 'why, for whoever reads status', helpValue: 'TEXT' }),
  }

  protected override async perform(_stop: Stop): Promise<number> {
    const { flags, args } = await this.readFlags(Pause)
    const workspace = await loadWorkspaceAt(directoryIn(this.argv))
    const { runPause } = await import('../src/cli/pause/run-pause.js')
    return runPause({
      workspace,
      names: [args['source[.stream]']].flat().map(String),
      forMs: flags.for ?? null,
      note: flags.note ?? null,
      isJson: flags.json,
    })
  }
}
