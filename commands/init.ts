import { Flags } from '@oclif/core'
import { BackfillCommand } from '../src/cli/command.js'
import type { Stop } from '../src/cli/signals.js'
import { directoryIn } from '../src/cli/workspace-command.js'

export default class Init extends BackfillCommand {
  static override summary = 'make a workspace: backfill.yaml, .env, sources/, queue.db'
  static override description =
    'overwrites nothing. without --database the workspace has a Postgres of its own, embedded.\nwith --adopt it makes nothing: it binds the queue of this workspace to its database, where another queue was bound to it before; of a copied workspace, the one where it is run goes on.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --workspace /srv/acme',
    "<%= config.bin %> <%= command.id %> --database '$DATABASE_URL'",
    '<%= config.bin %> <%= command.id %> --adopt',
  ]
  static override flags = {
    database: Flags.string({
      summary: 'embedded, a URL, or the name of a variable that holds one, as $NAME',
      helpValue: 'URL',
      default: 'embedded',
    }),
    source: Flags.string({
      summary: 'a shipped source to list in backfill.yaml; repeat for more',
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
    }),
    adopt: Flags.boolean({
      summary: 'bind the database to this queue, although another queue, or a copy of this one, was bound to it',
      exclusive: ['source'],
    }),
  }

  protected override async perform(stop: Stop): Promise<number> {
    const { flags } = await this.readFlags(Init)
    const { runInit } = await import('../src/cli/init/run-init.js')
    const { database, source = [], adopt } = flags
    return runInit(
      {
        directory: directoryIn(this.argv),
        database,
        sources: source,
        isAdopting: adopt,
        isJson: flags.json,
        root: this.config.root,
      },
      stop,
    )
  }
}
