// Compiles the shipped civic.band definition as a workspace with this entry in its backfill.yaml would.
import { compileSource } from '../../src/definition/compile-source.js'
import { Mistakes } from '../../src/definition/document.js'
import { readPlain } from '../../src/definition/plain-document.js'
import { workspaceSchema } from '../../src/definition/workspace-schema.js'
import type { Source, Stream } from '../../src/domain/source-model.js'
import civicband from '../../src/sources/civicband.js'

/** @throws where the definition or the entry has a mistake. */
export function compileCivicband(entry: object): { readonly source: Source; readonly stream: Stream } {
  const mistakes = new Mistakes()
  const document = readPlain(civicband, { file: '(built in) civicband', text: null, mistakes })
  const settings = { sources: { civicband: entry } }
  const workspace = readPlain(settings, { file: 'backfill.yaml', text: null, mistakes })
  const source = compileSource(document, {
    mistakes,
    workspace,
    override: workspaceSchema.parse(settings).sources?.civicband ?? null,
    tables: { schema: 'public', deltaPrefix: 'delta_' },
    defaults: {},
    notes: [],
  })
  const stream = source?.streams.meeting_page
  if (mistakes.problems.length > 0) throw new Error(JSON.stringify(mistakes.problems, null, 2))
  if (source === null || stream === undefined) throw new Error('the definition did not compile')
  return { source, stream }
}
