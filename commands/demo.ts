import { Flags } from '@oclif/core'
import { BackfillCommand } from '../src/cli/command.js'
import { inkFor } from '../src/cli/ink.js'
import { say } from '../src/cli/say.js'
import type { Stop } from '../src/cli/signals.js'

export default class Demo extends BackfillCommand {
  static override summary = 'run the main job on simulated data'
  static override description =
    'makes a demo workspace, starts a simulated civic.band on loopback, then runs seed, worker, status and verify.\nrun it again to go on where it stopped.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --directory /tmp/try-backfill',
  ]
  static override hidden = true
  static override flags = {
    directory: Flags.string({ summary: 'folder for the demo workspace', default: '.demo', helpValue: 'DIR' }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const { flags } = await this.readFlags(Demo)
    const { runDemo } = await import('../src/demo/demo.js')
    const { demoWords } = await import('../src/demo/words.js')
    return runDemo({
      directory: flags.directory,
      program: `${this.config.root}/bin/run.js`,
      words: demoWords(say, inkFor(process.stdout)),
      signal: stop.signal,
    })
  }
}
