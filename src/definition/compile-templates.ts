// Owns the check of text with holes: every hole names something there is. Expansion is the engine's, at the request.

import { strayDatePart } from '../domain/dates.js'
import { BackfillError } from '../domain/errors.js'
import { isJsonObject, type Json } from '../domain/json.js'
import type { Template } from '../domain/source-model.js'
import { parseTemplate, type TemplateHole } from '../domain/template.js'
import { refuse, requireName, type SourceScope, type Spot, spotAt } from './compilation.js'

export interface TemplateUse {
  /** True where the walk's position is known: in the stream's own request. */
  readonly mayUseCursor: boolean
}

/** Reports every hole that names nothing; answers the dimensions that the template depends on. */
export function checkTemplate(
  scope: SourceScope,
  spot: Spot,
  use: { readonly template: Template } & TemplateUse,
): readonly string[] {
  const holes = readHoles(scope, spot, use.template)
  return holes.flatMap((hole) => checkHole(scope, spot, { hole, mayUseCursor: use.mayUseCursor }))
}

/** The same for every value of an object of templates. */
export function checkTemplates(
  scope: SourceScope,
  spot: Spot,
  use: { readonly templates: Readonly<Record<string, Template>> } & TemplateUse,
): readonly string[] {
  return Object.entries(use.templates).flatMap(([key, template]) =>
    checkTemplate(scope, spotAt(spot, key), { template, mayUseCursor: use.mayUseCursor }),
  )
}

/** The same for every text inside a JSON body. */
export function checkBody(
  scope: SourceScope,
  spot: Spot,
  use: { readonly body: Json } & TemplateUse,
): readonly string[] {
  const { body, mayUseCursor } = use
  if (typeof body === 'string') return checkTemplate(scope, spot, { template: body, mayUseCursor })
  if (Array.isArray(body)) {
    return body.flatMap((element: Json, index) =>
      checkBody(scope, spotAt(spot, index), { body: element, mayUseCursor }),
    )
  }
  if (!isJsonObject(body)) return []
  return Object.entries(body).flatMap(([key, child]) =>
    checkBody(scope, spotAt(spot, key), { body: child, mayUseCursor }),
  )
}

function readHoles(scope: SourceScope, spot: Spot, template: Template): readonly TemplateHole[] {
  try {
    return parseTemplate(template).filter((part) => part.kind !== 'text')
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error
    const fact = / found (.*)$/s.exec(error.message)?.[1] ?? 'a mistaken one'
    refuse(scope.mistakes, spot, { expected: 'a template like {name}, {config.name} or $NAME', found: fact })
    return []
  }
}

function checkHole(
  scope: SourceScope,
  spot: Spot,
  { hole, mayUseCursor }: { readonly hole: TemplateHole } & TemplateUse,
): readonly string[] {
  switch (hole.kind) {
    case 'environment':
      return []
    case 'cursor':
      if (!mayUseCursor) refuse(scope.mistakes, spot, { expected: 'no {cursor} here', found: '"{cursor}"' })
      return []
    case 'config':
      checkConfig(scope, spot, hole.name)
      return []
    case 'dimension':
      return checkDimension(scope, spot, hole)
  }
}

function checkConfig(scope: SourceScope, spot: Spot, name: string): void {
  scope.usedConfig.add(name)
  if (Object.hasOwn(scope.config, name)) return
  const what = scope.configNames.includes(name) ? 'a single value' : 'a value'
  refuse(scope.mistakes, spot, {
    expected: `${what} at sources.${scope.name}.${name} in backfill.yaml`,
    found: scope.configNames.includes(name) ? 'a list' : 'nothing',
  })
}

function checkDimension(
  scope: SourceScope,
  spot: Spot,
  hole: TemplateHole & { readonly kind: 'dimension' },
): readonly string[] {
  const isKnown = requireName(scope.mistakes, spot, {
    what: 'a dimension',
    value: hole.name,
    known: scope.dimensionNames,
  })
  const isDated = hole.part !== 'start' || hole.format !== null || hole.shift !== undefined
  if (isKnown && isDated && scope.dimensions[hole.name]?.kind !== 'dates') {
    refuse(scope.mistakes, spot, {
      expected: 'a dimension of dates, for a format or part',
      found: `"${hole.name}", which is a list`,
    })
  }
  const stray = hole.format === null ? null : strayDatePart(hole.format)
  if (stray !== null) {
    const expected = 'a date format of YYYY, YY, MMM, MM, M, DD, D and [plain text]'
    refuse(scope.mistakes, spot, { expected, found: `"${stray}" in "${hole.format}"` })
  }
  return isKnown ? [hole.name] : []
}
