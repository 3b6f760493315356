/**
 * The base of commands that work in a workspace: finds it, adds its dimensions as flags, and turns `SOURCE[.STREAM] …`, dimension flags and `--partition`
 * into streams and a filter. Opens nothing but files of the configuration.
 */
import { resolve } from 'node:path'
import { ConfigError } from '../domain/errors.js'
import { resolveFilter, selectStreams } from '../domain/selection.js'
import type { BrokenSource, Workspace } from '../domain/workspace-model.js'
import { redactor } from '../log/redact.js'
import type { Asked } from './asked.js'
import { BackfillCommand, type ReadFlags } from './command.js'
import { flagsOf, readDimensions } from './dimension-flags.js'
import { exitCodes, failureOf } from './exit.js'
import { partitionFlag, streamArgs } from './flags.js'
import { tellNotes } from './notes.js'
import { complainOf } from './say.js'
import { dayOf, useZone } from './zone.js'

/** What a command line means in its workspace, with the command's own flags. */
export type Reading<C extends typeof BackfillCommand> = Asked<ReadFlags<C>['flags']>

export abstract class WorkspaceCommand extends BackfillCommand {
  #hasBroken = false

  static override args = streamArgs
  static override baseFlags = { ...BackfillCommand.baseFlags, partition: partitionFlag }

  /** @throws ConfigError for a folder that is no workspace, a wrong configuration, an unknown source, stream, dimension or value. */
  protected async read<C extends typeof WorkspaceCommand>(command: C): Promise<Reading<C>> {
    const workspace = await loadWorkspaceAt(directoryIn(this.argv))
    useZone(workspace.timezone)
    this.#nameBroken(workspace)
    const { flags, args } = await this.readFlags(command, flagsOf(workspace))
    const named = args['source[.stream]']
    const names = Array.isArray(named) ? named.map(String) : []
    refuseBroken(workspace, names)
    const today = dayOf(Date.now())
    const streams = selectStreams(workspace, names)
    const raw = readDimensions(workspace, flags)
    const filter = resolveFilter(streams, raw, today)
    const isEverything = names.length === 0 && Object.keys(filter).length === 0
    const isNamed = names.length > 0
    return { workspace, flags, streams, filter, isEverything, isNamed, scope: scopeText(names, raw), today }
  }

  /** Said first, because the work may take hours. */
  #nameBroken({ broken }: Workspace): void {
    this.#hasBroken = broken.length > 0
    for (const source of broken) complainOf(failureOf(brokenError(source)), redactor(process.env))
  }

  protected override concluded(exitCode: number): number {
    // Interrupted and our own bug say more.
    return this.#hasBroken && exitCode !== exitCodes.bug && exitCode < 128 ? exitCodes.usage : exitCode
  }
}

/** A source that was named must not be passed over. */
function refuseBroken({ broken }: Workspace, names: readonly string[]): void {
  const wanted = new Set(names.map((name) => name.split('.', 1)[0]))
  const named = broken.find(({ name }) => name !== null && wanted.has(name))
  if (named !== undefined) throw brokenError(named)
}

function brokenError({ file, problems }: BrokenSource): ConfigError {
  const mistakes = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`
  return new ConfigError('invalid_definition', `read "${file}" found ${mistakes}`, {
    problems,
    hint: 'its tasks wait; the other sources are worked on',
  })
}

/** The workspace of a folder; tells its notes. @throws ConfigError with every mistake that its configuration has. */
export async function loadWorkspaceAt(directory: string): Promise<Workspace> {
  const workspace = await readWorkspaceAt(directory)
  tellNotes(workspace)
  return workspace
}

/** The workspace of a folder, for who only looks something up in it. @throws ConfigError */
export async function readWorkspaceAt(directory: string): Promise<Workspace> {
  const { loadWorkspace } = await import('../workspace/load-workspace.js')
  return loadWorkspace({ directory, environment: process.env })
}

/** Before the flags can be read: which flags there are depends on the workspace. */
export function directoryIn(argv: readonly string[]): string {
  const end = argv.indexOf('--')
  const words = end === -1 ? argv : argv.slice(0, end)
  const at = words.findLastIndex((word) => word === '--workspace' || word.startsWith('--workspace='))
  const word = words[at]
  const typed = word === '--workspace' ? words[at + 1] : word?.slice('--workspace='.length)
  return resolve(typed ?? process.env.BACKFILL_WORKSPACE ?? '.')
}

function scopeText(names: readonly string[], raw: Readonly<Record<string, readonly string[]>>): string {
  const restrictions = Object.keys(raw)
    .sort()
    .flatMap((name) => (raw[name] ?? []).map((value) => `--${name.replaceAll('_', '-')} ${value}`))
  return [...(names.length === 0 ? ['all'] : names), ...restrictions].join(' ')
}
