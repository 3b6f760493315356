/** Dimensions of the configured sources as flags of their own name: `--subdomain oakland.ca`, `--document-type agendas`. */
import { Flags } from '@oclif/core'
import { ConfigError } from '../domain/errors.js'
import { type DimensionFlag, dimensionFlags, flagName } from '../domain/selection.js'
import type { Workspace } from '../domain/workspace-model.js'

export const dimensionGroup = 'DIMENSION'
/** Values named in the help of one flag. */
const valuesShown = 6

/** oclif flags for the workspace's dimensions, by flag name. */
export function flagsOf(workspace: Pick<Workspace, 'sources'>): Record<string, ReturnType<typeof dimensionFlag>> {
  return Object.fromEntries(
    dimensionFlags(workspace).map((dimension) => [flagName(dimension.name), dimensionFlag(dimension)]),
  )
}

function dimensionFlag(dimension: DimensionFlag) {
  const kebab = flagName(dimension.name)
  return Flags.string({
    summary: summaryOf(dimension),
    helpValue: 'VALUE',
    helpGroup: dimensionGroup,
    multiple: true,
    multipleNonGreedy: true,
    // snake_case as the definition writes it is accepted, too.
    aliases: kebab === dimension.name ? [] : [dimension.name],
  })
}

function summaryOf({ sources, values, aliases }: DimensionFlag): string {
  const of = sources.join(', ')
  if (values === null) return `date of ${of}, or a span: 2024, 2024-01..2024-03`
  const shown = values.slice(0, valuesShown).join(', ')
  const more = values.length > valuesShown ? ` and ${values.length - valuesShown} more` : ''
  const also = aliases.length === 0 ? '' : ` (also ${aliases.slice(0, valuesShown).join(', ')})`
  return values.length === 0 ? `value of ${of}` : `${shown}${more}${also}, of ${of}`
}

/** What the command line restricts dimensions to: flags of their own names, and `--partition name=value`. @throws ConfigError */
export function readDimensions(
  workspace: Pick<Workspace, 'sources'>,
  flags: Readonly<Record<string, unknown>>,
): Record<string, readonly string[]> {
  const raw: Record<string, readonly string[]> = {}
  for (const { name } of dimensionFlags(workspace)) {
    const values = flags[flagName(name)]
    if (Array.isArray(values)) raw[name] = values.map(String)
  }
  const pairs = Array.isArray(flags.partition) ? flags.partition.map(String) : []
  for (const pair of pairs) {
    const [name, value] = readPair(pair)
    raw[name] = [...(raw[name] ?? []), value]
  }
  return raw
}

function readPair(pair: string): readonly [string, string] {
  const at = pair.indexOf('=')
  if (at > 0 && at < pair.length - 1) return [pair.slice(0, at).replaceAll('-', '_'), pair.slice(at + 1)]
  throw new ConfigError('usage', `read --partition found "${pair}"`, {
    hint: 'write it as name=value, for instance --partition month=2024-01',
  })
}
