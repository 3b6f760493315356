/**
 * Commands of a workspace run in the test's own process: the same classes that the binary runs, without its second of starting up. What only a process shows
 * (signals, kills, what is left when it ends, two at a time) is not shown here. Must not know any test.
 */
import Init from '../../commands/init.js'
import Pause from '../../commands/pause.js'
import Pruned from '../../commands/pruned.js'
import Resume from '../../commands/resume.js'
import Retry from '../../commands/retry.js'
import Seed from '../../commands/seed.js'
import Sql from '../../commands/sql.js'
import Status from '../../commands/status.js'
import Verify from '../../commands/verify.js'
import Worker from '../../commands/worker.js'
import { type Ran, runCommand } from '../cli/run-command.js'

const commands = {
  init: Init,
  pause: Pause,
  pruned: Pruned,
  resume: Resume,
  retry: Retry,
  seed: Seed,
  sql: Sql,
  status: Status,
  verify: Verify,
  worker: Worker,
}

/** Flags that leave something to the end of the process: a timer that ends it long after the run should have. */
const needsProcess = /^--max-runtime\b/

let isAtWork = false

/** False where a command is at work here already (what a process prints is caught as a whole), where there is no such command, and where the process is part of it. */
export function canRunHere([name = '', ...words]: readonly string[]): boolean {
  return !isAtWork && Object.hasOwn(commands, name) && !words.some((word) => needsProcess.test(word))
}

/** In `directory` and with these variables, as `startBackfill` would start it; only where `canRunHere`. */
export async function runHere(
  [name = '', ...words]: readonly string[],
  { directory, environment }: { readonly directory: string; readonly environment: NodeJS.ProcessEnv },
): Promise<Ran> {
  const command = commands[name as keyof typeof commands]
  const restore = enter(directory, environment)
  try {
    return await runCommand(command, ...words)
  } finally {
    restore()
  }
}

/** The folder and the variables are the process's: both come back as they were. The parser prints more where NODE_ENV says that it is tested. */
function enter(directory: string, environment: NodeJS.ProcessEnv): () => void {
  const folder = process.cwd()
  const before = { ...process.env }
  isAtWork = true
  process.chdir(directory)
  delete process.env.NODE_ENV
  Object.assign(process.env, environment)
  return () => {
    process.chdir(folder)
    for (const name of ['NODE_ENV', 'TZ', ...Object.keys(environment)]) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = before[name]
    }
    isAtWork = false
  }
}
