/**
 * The help of a command, with the flags that the present workspace adds: one for each dimension of its sources. Where there is no workspace, or a broken one,
 * the help is the general one: asking for help never fails.
 */
import { type Command, Help, type Interfaces } from '@oclif/core'
import { dimensionGroup, flagsOf } from './dimension-flags.js'
import { directoryIn, readWorkspaceAt } from './workspace-command.js'

export default class WorkspaceHelp extends Help {
  override async showCommandHelp(command: Command.Loadable): Promise<void> {
    const isOfWorkspace = Object.hasOwn(command.flags, 'partition')
    const more = isOfWorkspace ? await dimensionHelp() : null
    await super.showCommandHelp({ ...command, flags: { ...command.flags, ...more } })
    if (isOfWorkspace && more === null)
      this.log(`In a workspace, each dimension of its sources is a flag, too (${dimensionGroup}).`)
  }
}

/** The dimensions' flags as help prints them; null where no workspace can be read. */
async function dimensionHelp(): Promise<Record<string, Command.Flag.Cached> | null> {
  try {
    const flags = flagsOf(await readWorkspaceAt(directoryIn(process.argv.slice(2))))
    return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, cached(name, flag)]))
  } catch {
    return null
  }
}

function cached(name: string, flag: Interfaces.OptionFlag<string[] | undefined>): Command.Flag.Cached {
  const { summary = '', helpValue = 'VALUE', helpGroup = dimensionGroup } = flag
  return { name, type: 'option', summary, helpValue, helpGroup, multiple: true, hasDynamicHelp: false }
}
