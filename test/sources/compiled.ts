// Compiles a shipped definition as a workspace with this entry in its backfill.yaml would.
import { compileSource } from '../../src/definition/compile-source.js'
import { Mistakes } from '../../src/definition/document.js'
import { readPlain } from '../../src/definition/plain-document.js'
import { workspaceSchema } from '../../src/definition/workspace-schema.js'
import type { Source, Stream } from '../../src/domain/source-model.js'
import civicband from '../../src/sources/civicband.js'
import school42 from '../../src/sources/school42.js'

interface Shipped {
  readonly name: 'civicband' | 'school42'
  readonly definition: object
}
interface Compiled {
  readonly source: Source | null
  /** What is wrong, as it would be printed. */
  readonly problems: readonly string[]
}

/** @throws where the definition or the entry has a mistake. */
export function compileCivicband(entry: object): { readonly source: Source; readonly stream: Stream } {
  const { source, problems } = compile({ name: 'civicband', definition: civicband }, entry)
  const stream = source?.streams.meeting_page
  if (source === null || stream === undefined) throw new Error(problems.join('\n'))
  return { source, stream }
}

/** @throws where the definition or the entry has a mistake. */
export function compileSchool42(entry: object = {}): Source {
  const { source, problems } = compile({ name: 'school42', definition: school42 }, entry)
  if (source === null) throw new Error(problems.join('\n'))
  return source
}

/** What is wrong with an entry for School 42. */
export function mistakesOfSchool42(entry: object): readonly string[] {
  return compile({ name: 'school42', definition: school42 }, entry).problems
}

function compile({ name, definition }: Shipped, entry: object): Compiled {
  const mistakes = new Mistakes()
  const document = readPlain(definition, { file: `(built in) ${name}`, text: null, mistakes })
  const settings = { sources: { [name]: entry } }
  const workspace = readPlain(settings, { file: 'backfill.yaml', text: null, mistakes })
  const source = compileSource(document, {
    mistakes,
    workspace,
    override: workspaceSchema.parse(settings).sources?.[name] ?? null,
    tables: { schema: 'public', deltaPrefix: 'delta_' },
    defaults: {},
    notes: [],
  })
  const problems = mistakes.problems.map((problem) => JSON.stringify(problem))
  return { source: problems.length > 0 ? null : source, problems }
}
