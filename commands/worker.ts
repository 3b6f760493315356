import { Flags } from '@oclif/core'
import { durationMs, pageSizeFlag, positive } from '../src/cli/flags.js'
import type { Stop } from '../src/cli/signals.js'
import { WorkspaceCommand } from '../src/cli/workspace-command.js'

export default class Worker extends WorkspaceCommand {
  static override summary = 'fetch what is due and promote it into Postgres'
  static override description =
    'one worker per workspace: another one at work is no failure. without a terminal it is silent unless a task newly died, or a source was newly parked or refused; events are in .backfill/log.\nthe first ctrl-c (or SIGTERM, SIGHUP) flushes, gives its tasks back and ends; the second ends at once.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --until-empty',
    '<%= config.bin %> <%= command.id %> acme.users --max-runtime 30m --max-requests 500',
  ]
  static override flags = {
    'max-runtime': Flags.custom<number>({
      summary: 'end after this long: 30m, 4h [default: 4h without a terminal]',
      helpValue: 'TIME',
      env: 'BACKFILL_MAX_RUNTIME',
      parse: async (text) => durationMs('--max-runtime', text),
    })(),
    'max-requests': Flags.custom<number>({
      summary: 'end after so many requests',
      helpValue: 'N',
      env: 'BACKFILL_MAX_REQUESTS',
      parse: async (text) => positive('--max-requests', text),
    })(),
    'max-tasks': Flags.custom<number>({
      summary: 'end after so many tasks',
      helpValue: 'N',
      env: 'BACKFILL_MAX_TASKS',
      parse: async (text) => positive('--max-tasks', text),
    })(),
    claim: Flags.custom<number>({
      summary: 'tasks per claim [default: 10, or by source]',
      helpValue: 'N',
      env: 'BACKFILL_CLAIM',
      parse: async (text) => positive('--claim', text),
    })(),
    concurrency: Flags.custom<number>({
      summary: 'tasks of one source at a time [default: by source]',
      helpValue: 'N',
      env: 'BACKFILL_CONCURRENCY',
      parse: async (text) => positive('--concurrency', text),
    })(),
    'until-empty': Flags.boolean({
      summary: 'wait for the budget and for what is due later, until nothing is open',
      env: 'BACKFILL_UNTIL_EMPTY',
    }),
    'page-size': pageSizeFlag,
  }

  protected override async perform(stop: Stop): Promise<number> {
    const reading = await this.read(Worker)
    const { runWorkerCommand } = await import('../src/cli/worker/run-worker.js')
    return runWorkerCommand(reading, stop)
  }
}
