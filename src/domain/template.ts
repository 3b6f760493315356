// Owns the text with holes that source definitions are made of: its grammar, its variables, and its expansion with the values of one
// partition. Pure: where the environment's secrets come from, and how a hole is encoded for its place, are arguments.

import type { DatePart, DateShift, DateStep } from './dates.js'
import { formatDate } from './dates.js'
import { ConfigError } from './errors.js'
import type { Partition } from './partition.js'
import type { Dimension, Template } from './source-model.js'

/** One piece of a template. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'dimension'
      readonly name: string
      readonly part: DatePart
      readonly format: string | null
      readonly shift?: DateShift
      /** Its slashes stand between parts of a path: `{repo:path}`. Absent: they are part of the value. */
      readonly isPath?: true
    }
  /** `{cursor}`: the position of the walk, in the request itself and not in a parameter beside it. */
  | { readonly kind: 'cursor' }
  | { readonly kind: 'config'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string }
export type TemplateHole = Exclude<TemplatePart, { kind: 'text' }>

/** What holes are filled from. */
export interface TemplateScope {
  readonly partition: Partition
  readonly dimensions: Readonly<Record<string, Dimension>>
  readonly config: Readonly<Record<string, string>>
  /** Process environment over `.env`. The only place of secrets. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where the walk stands; absent and null on its first request. */
  readonly cursor?: string | null
}

/** Turns a hole's value into what its place takes (a path part, a host). May refuse by throwing. */
export type HoleEncoder = (value: string, hole: TemplateHole, before: string) => string

const holePattern =
  /^(?<config>config\.)?(?<name>[A-Za-z_][A-Za-z0-9_-]*)(?:\.(?<part>end|next|month_start|month_end))?(?:\s+(?<sign>[+-])\s*(?<by>\d{1,5})\s+(?<step>day|week|month|year)s?)?(?::(?<format>.+))?$/s
const tokenPattern = /\{\{|\}\}|\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\}|[{}]/g
const parsed = new Map<Template, readonly TemplatePart[]>()

/**
 * The pieces of a template, in order.
 * @throws ConfigError (`template_invalid`) at a brace without its partner or a hole that is no name.
 */
export function parseTemplate(template: Template): readonly TemplatePart[] {
  const known = parsed.get(template)
  if (known !== undefined) return known
  const parts = readParts(template)
  // Definitions hold few templates; a bound keeps a caller with generated ones from growing it for ever.
  if (parsed.size >= 1000) parsed.clear()
  parsed.set(template, parts)
  return parts
}

/**
 * Names that a template depends on, each once, in order: `subdomain` (a dimension, whatever its part and format), `config.board`, `$TOKEN`,
 * and `cursor`. A dimension called `cursor` takes that name for itself.
 * @throws ConfigError as {@link parseTemplate}.
 */
export function templateVariables(template: Template): string[] {
  const names = parseTemplate(template).flatMap((part) => (part.kind === 'text' ? [] : [variableName(part)]))
  return [...new Set(names)]
}

/**
 * The template with its holes filled. `encode` sees each value, its hole and the text before it.
 * @throws ConfigError for a missing variable (`missing_environment` names it), an unknown dimension or setting, a format on a list's value.
 */
export function expandTemplate(template: Template, scope: TemplateScope, encode: HoleEncoder = asItIs): string {
  let text = ''
  for (const part of parseTemplate(template)) {
    text += part.kind === 'text' ? part.text : encode(holeValue(part, scope, template), part, text)
  }
  return text
}

function asItIs(value: string): string {
  return value
}

function readParts(template: Template): TemplatePart[] {
  const parts: TemplatePart[] = []
  let text = ''
  let end = 0
  for (const match of template.matchAll(tokenPattern)) {
    text += template.slice(end, match.index)
    end = match.index + match[0].length
    const part = readToken(match, template)
    if (typeof part === 'string') {
      text += part
      continue
    }
    if (text !== '') parts.push({ kind: 'text', text })
    text = ''
    parts.push(part)
  }
  text += template.slice(end)
  return text === '' ? parts : [...parts, { kind: 'text', text }]
}

/** A piece, or for an escape the character it stands for. */
function readToken(match: RegExpExecArray, template: Template): TemplatePart | string {
  const [token, braced, bare, hole] = match
  if (token === '{{' || token === '}}' || token === '$$') return token.slice(1)
  const variable = braced ?? bare
  if (variable !== undefined) return { kind: 'environment', name: variable }
  if (hole === undefined) throw badTemplate(template, `"${token}" without its partner`)
  return readHole(hole.trim(), template)
}

function readHole(hole: string, template: Template): TemplatePart {
  const groups = holePattern.exec(hole)?.groups
  const name = groups?.name
  if (groups === undefined || name === undefined) throw badTemplate(template, `"{${hole}}", which names nothing`)
  const part = groups.part as DatePart | undefined
  const by = Number(`${groups.sign ?? ''}${groups.by ?? ''}`)
  const shift = groups.step === undefined ? {} : { shift: { by, step: groups.step as DateStep } }
  const format = groups.format ?? null
  if (groups.config === undefined) {
    if (format === 'path' && part === undefined && groups.step === undefined)
      return { kind: 'dimension', name, part: 'start', format: null, isPath: true }
    if (name === 'cursor' && part === undefined && format === null && groups.step === undefined)
      return { kind: 'cursor' }
    return { kind: 'dimension', name, part: part ?? 'start', format, ...shift }
  }
  if (part !== undefined || format !== null || groups.step !== undefined)
    throw badTemplate(template, `"{${hole}}": a setting has no date format`)
  return { kind: 'config', name }
}

function variableName(hole: TemplateHole): string {
  if (hole.kind === 'environment') return `$${hole.name}`
  if (hole.kind === 'config') return `config.${hole.name}`
  return hole.kind === 'cursor' ? 'cursor' : hole.name
}

function holeValue(hole: TemplateHole, scope: TemplateScope, template: Template): string {
  switch (hole.kind) {
    case 'environment':
      return environmentValue(hole.name, scope)
    case 'config':
      return ownValue(scope.config, hole.name) ?? refuseHole(template, `setting "${hole.name}" of the source`)
    case 'cursor':
      return ownValue(scope.partition, 'cursor') ?? scope.cursor ?? ''
    case 'dimension':
      return dimensionValue(hole, scope, template)
  }
}

function environmentValue(name: string, scope: TemplateScope): string {
  const value = ownValue(scope.environment, name)
  // An empty secret is a forgotten one: it would be sent as an empty credential and answered with 401.
  if (value !== undefined && value !== '') return value
  throw new ConfigError('missing_environment', `expand "$${name}" found no such variable in the environment or .env`, {
    hint: `set ${name} in .env, or write "$$${name}" for the plain text`,
    context: { variable: name },
  })
}

type DimensionHole = Extract<TemplateHole, { kind: 'dimension' }>

function dimensionValue(hole: DimensionHole, scope: TemplateScope, template: Template): string {
  const value = ownValue(scope.partition, hole.name) ?? refuseHole(template, `value for dimension "${hole.name}"`)
  const dimension = ownValue(scope.dimensions, hole.name)
  if (dimension?.kind === 'dates') return formatDate(value, dimension.step, hole)
  if (hole.part === 'start' && hole.format === null && hole.shift === undefined) return value
  return refuseHole(template, `dates in dimension "${hole.name}", which a format or ".${hole.part}" needs`)
}

function ownValue<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

function refuseHole(template: Template, what: string): never {
  throw new ConfigError('template_unfilled', `expand "${template}" found no ${what}`, {
    hint: 'name a dimension of the stream, a setting of the source ({config.NAME}) or a variable ($NAME)',
  })
}

function badTemplate(template: Template, what: string): ConfigError {
  return new ConfigError('template_invalid', `read template "${template}" found ${what}`, {
    hint: 'write {name}, {config.name} or $NAME; "{{", "}}" and "$$" stand for the characters themselves',
  })
}
