/**
 * Runs `backfill init`: makes a workspace, or (`--adopt`) binds the database to its queue. Overwrites nothing: files that are there stay. backfill.yaml comes
 * last, so that an init that was killed is completed by the same command.
 */
import { randomUUID } from 'node:crypto'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError } from '../../domain/errors.js'
import { openDestination, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes, systemCode } from '../exit.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { loadWorkspaceAt } from '../workspace-command.js'
import { environmentFile, exampleSource, ignoredFiles, settingsFile } from './files.js'

export interface InitAsked {
  readonly directory: string
  readonly database: string
  readonly sources: readonly string[]
  readonly isAdopting: boolean
  readonly isJson: boolean
  /** Folder of this package: for the line in the crontab, and for editors. */
  readonly root: string
}

/** Answers the exit code. @throws ConfigError `workspace_exists`, `unknown_source`, `usage` */
export async function runInit(asked: InitAsked, stop: Stop): Promise<number> {
  return asked.isAdopting ? adopt(asked, stop) : make(asked)
}

async function make(asked: InitAsked): Promise<number> {
  const { directory } = asked
  if (await exists(join(directory, 'backfill.yaml'))) {
    throw new ConfigError('workspace_exists', `make a workspace in "${directory}" found its backfill.yaml`, {
      hint: 'edit it, or choose another folder with --workspace',
    })
  }
  const database = databaseOf(asked.database)
  const sources = await Promise.all(asked.sources.map(shippedEntry))
  await makeFolder(directory)
  const made = [
    ...(await makeFile(join(directory, '.gitignore'), ignoredFiles)),
    ...(await makeFile(join(directory, '.env'), environmentFile(database.url), 0o600)),
    ...(await makeFile(join(directory, 'sources', 'acme.yaml.example'), exampleSource(asked.root))),
    ...(await makeFile(join(directory, 'backfill.yaml'), settingsFile(asked.root, database.setting, sources))),
  ]
  // Not by loading the workspace: a shipped source's lists have to be filled in first.
  const queueFile = join(directory, 'queue.db')
  const hadQueue = await exists(queueFile)
  const queue = await openWorkspaceQueue(
    { queueFile, stateDirectory: join(directory, '.backfill'), timezone: 'UTC' },
    'create',
  )
  queue.close()
  const files = [...made, ...(hadQueue ? [] : [queueFile])]
  if (asked.isJson) sayJson({ workspace: directory, made: files.sort(), cron: cronLine(asked) })
  else for (const line of report(asked, files)) say(line)
  return exitCodes.done
}

/**
 * Another queue was bound to this database (a lost queue.db), or this one is a copy: from now on the database is ours, and this queue's alone, for it gets an id
 * that no copy has. The database first: killed in between, the same command completes it.
 */
async function adopt(asked: InitAsked, stop: Stop): Promise<number> {
  const workspace = await loadWorkspaceAt(asked.directory)
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, { command: 'init' })
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'adopt'), (one) => one.close())
    const id = randomUUID()
    const destination = await openDestination(workspace, { opened, queue, log, signal: stop.signal, adopt: id })
    opened.keep(destination, (one) => one.close())
    await queue.takeOver(id)
    log('warn', 'database adopted', { queue: id, database: destination.databaseId })
    if (asked.isJson) sayJson({ workspace: asked.directory, queue: id, database: destination.databaseId })
    else say(`The database is bound to the queue of "${asked.directory}" from now on`)
    return exitCodes.done
  })
}

interface DatabaseChoice {
  /** As backfill.yaml has it: never a password. */
  readonly setting: string
  /** For .env; null where nothing goes there. */
  readonly url: string | null
}

function databaseOf(text: string): DatabaseChoice {
  if (text === 'embedded') return { setting: 'embedded', url: null }
  if (/^\$\{?[A-Za-z_][A-Za-z0-9_]*\}?$/.test(text)) return { setting: text, url: null }
  // A URL may hold a password: it goes to .env, which nobody else can read.
  if (/^postgres(ql)?:\/\//.test(text)) return { setting: '$DATABASE_URL', url: text }
  throw new ConfigError('usage', 'read --database found neither "embedded", a variable nor a postgres:// address', {
    hint: `write --database '$DATABASE_URL' (in single quotes) and the address in .env`,
  })
}

/** A shipped source's entry: the lists that its dimensions want from the configuration, empty, to be filled in. */
async function shippedEntry(name: string): Promise<{ readonly name: string; readonly wanted: readonly string[] }> {
  const { importShippedSource, shippedSourceNames } = await import('../../workspace/shipped-sources.js')
  const definition = await importShippedSource(name)
  if (definition === null) {
    throw new ConfigError('unknown_source', `list source "${name}" found no such shipped source`, {
      hint: `shipped: ${shippedSourceNames().join(', ')}`,
    })
  }
  return { name, wanted: configNames(definition) }
}

function configNames(definition: unknown): readonly string[] {
  const dimensions =
    typeof definition === 'object' && definition !== null && 'dimensions' in definition ? definition.dimensions : {}
  return Object.values(dimensions ?? {}).flatMap((rules: unknown) =>
    typeof rules === 'object' && rules !== null && 'config' in rules && typeof rules.config === 'string'
      ? [rules.config]
      : [],
  )
}

async function makeFile(file: string, text: string, mode = 0o644): Promise<readonly string[]> {
  await makeFolder(dirname(file))
  try {
    await writeFile(file, text, { flag: 'wx', mode })
    return [file]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return []
    throw error
  }
}

/** With its parents, one by one: Node's own way down never ends in a folder such as /proc, and calls a read-only file system a missing file. */
async function makeFolder(directory: string): Promise<void> {
  if (await exists(directory)) return
  await makeFolder(dirname(directory))
  try {
    await mkdir(directory)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EEXIST') return
    if (code !== 'ENOENT') throw error
    throw new ConfigError('workspace_unwritable', `make "${directory}" found a place where no folder can be made`, {
      hint: 'choose another folder with --workspace',
    })
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

function report(asked: InitAsked, files: readonly string[]): readonly string[] {
  const first = asked.sources[0]
  const place = asked.directory === process.cwd() ? '' : ` --workspace ${quoted(asked.directory)}`
  return [
    `Made a workspace in ${asked.directory}`,
    ...[...files].sort().map((file) => `  ${file.slice(asked.directory.length + 1)}`),
    'Next:',
    first === undefined
      ? '  1. describe your source: copy sources/acme.yaml.example to sources/NAME.yaml'
      : `  1. fill in the lists of ${asked.sources.join(', ')} in backfill.yaml`,
    `  2. backfill seed ${first ?? 'NAME'}${place} && backfill worker${place}`,
    `  3. into cron ("crontab -e"):`,
    `     ${cronLine(asked)}`,
  ]
}

/** Complete paths: cron knows neither this shell's PATH nor its folder. In a crontab a bare % ends the command. */
function cronLine({ root, directory }: InitAsked): string {
  const words = [process.execPath, join(root, 'bin', 'run.js'), 'worker', '--workspace', directory]
  return `*/5 * * * * ${words.map(quoted).join(' ').replaceAll('%', '\\%')}`
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
