/**
 * The main job, to watch: a workspace, a simulated service, and the real `seed`, `worker`, `status` and `verify` over it. Owns the order of the steps
 * only; all that survives is the workspace, and the next run goes on from there: what is done is not asked for again, what a kill left behind is finished.
 */
import { dirname, relative, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { StoppedError, TemporaryFailure } from '../domain/errors.js'
import { rememberedPort, writeWorkspace } from './place.js'
import { type RealCommands, realCommands } from './real-commands.js'
import { startSimulated } from './simulated.js'
import { farewell, greeting, type Words } from './words.js'

export interface DemoOptions {
  /** The workspace, relative to the present folder. */
  readonly directory: string
  /** Absolute path of `bin/run.js`. */
  readonly program: string
  readonly words: Words
  readonly signal: AbortSignal
}

/** Another worker of the same workspace may be finishing what a killed demo left; so long it is waited for. */
const patienceMs = 120_000
const lookEveryMs = 1000

/**
 * Runs the demo to a verified table. Answers the exit code: 0 only where every command ended with 0, so also `verify --strict`.
 * @throws ConfigError where the folder is another workspace; TemporaryFailure where its demo runs already; StoppedError after a signal.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { words, signal, program } = options
  const directory = resolve(options.directory)
  const remembered = await rememberedPort(directory)
  const simulated = await startSimulated(directory, remembered)
  try {
    await writeWorkspace(directory, simulated.port, dirname(dirname(program)))
    greeting(words, { directory: shown(directory), isFirst: remembered === null, address: simulated.url })
    const commands = realCommands({ program, signal, announce: words.command })
    const exitCode = await runSteps(commands, { workspace: shown(directory), isFirst: remembered === null, signal })
    const { requests, rows, statuses } = simulated.audit.totals()
    const refused = (statuses[402] ?? 0) + (statuses[429] ?? 0)
    farewell(words, { exitCode, requests, rows, refused, workspace: shown(directory), program: shown(program) })
    return exitCode
  } finally {
    await simulated.close()
  }
}

interface Scene {
  /** True where the workspace was made in this run. */
  readonly isFirst: boolean
  readonly workspace: string
  readonly signal: AbortSignal
}

async function runSteps(commands: RealCommands, scene: Scene): Promise<number> {
  const here = ['--workspace', scene.workspace]
  const seeded = await commands.run(['seed', 'civicband', ...here])
  if (seeded !== 0) return seeded
  const worked = await drain(commands, scene)
  const shownStatus = await commands.run(['status', ...here])
  // Strict: a partition that is only probably complete is no success here.
  const verified = await commands.run(['verify', 'civicband', ...here, '--strict'])
  return [worked, shownStatus, verified].find((exitCode) => exitCode !== 0) ?? 0
}

/**
 * Until nothing is open: also the tasks that died when an earlier demo was killed and its service with it, and those that its worker still holds. The source
 * may have been parked then.
 * A look costs half a second of start-up, so there is none where it would show nothing new.
 */
async function drain(commands: RealCommands, scene: Scene): Promise<number> {
  const here = ['civicband', '--workspace', scene.workspace]
  const before = scene.isFirst ? unknown : await lookAt(commands, scene)
  if (before.dead > 0) await commands.run(['retry', ...here, '--all'])
  // A worker that outlived its demo met no service, and parked the source.
  if (before.parked > 0) await commands.run(['resume', ...here])
  const giveUpAt = performance.now() + patienceMs
  for (;;) {
    const exitCode = await commands.run(['worker', ...here, '--until-empty'])
    if (exitCode !== 0 || before.open + before.dead === 0) return exitCode
    const { open } = await lookAt(commands, scene)
    if (open === 0) return exitCode
    if (performance.now() > giveUpAt) throw stillAtWork(open)
    await pause(scene.signal)
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await wait(lookEveryMs, undefined, { signal }).catch(() => {
    throw new StoppedError()
  })
}

interface OpenTasks {
  /** Tasks that wait or run. */
  readonly open: number
  readonly dead: number
  /** Sources that are left alone because they failed. */
  readonly parked: number
}
/** After a first seed there is something to do, and nothing has died. */
const unknown: OpenTasks = { open: 1, dead: 0, parked: 0 }

async function lookAt(commands: RealCommands, scene: Scene): Promise<OpenTasks> {
  const status = (await commands.read(['status', '--workspace', scene.workspace])) as StatusDocument | null
  const streams = status?.streams ?? []
  return {
    open: streams.reduce((sum, stream) => sum + stream.ready + stream.leased, 0),
    dead: streams.reduce((sum, stream) => sum + stream.dead, 0),
    parked: status?.parked.length ?? 0,
  }
}

/** What is used of `status --json`. */
interface StatusDocument {
  readonly streams: readonly { readonly ready: number; readonly leased: number; readonly dead: number }[]
  readonly parked: readonly unknown[]
}

function stillAtWork(open: number): TemporaryFailure {
  return new TemporaryFailure(
    'demo_waits',
    `wait for another worker of the demo's workspace found ${open} tasks still open`,
    {
      hint: 'run the demo again when "backfill status" shows no worker',
    },
  )
}

// As short as it can be said from here, so that a printed command fits a line and can be copied.
function shown(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere === '' ? '.' : fromHere.startsWith('..') ? path : fromHere
}
