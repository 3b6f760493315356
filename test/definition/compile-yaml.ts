// A definition and a backfill.yaml as texts, compiled without files: the source, and every mistake as one line.
import { compileSource } from '../../src/definition/compile-source.js'
import { type DefinitionDocument, Mistakes } from '../../src/definition/document.js'
import { sourceSchema } from '../../src/definition/source-schema.js'
import { validate } from '../../src/definition/validate.js'
import { type WorkspaceDraft, workspaceSchema } from '../../src/definition/workspace-schema.js'
import { readYaml } from '../../src/definition/yaml-document.js'
import type { Source, Stream } from '../../src/domain/source-model.js'

export interface Compiled {
  readonly source: Source | null
  readonly lines: readonly string[]
  readonly notes: readonly string[]
}

/** Compiles `sources/acme.yaml` under a backfill.yaml. */
export function compileYaml(text: string, settings = ''): Compiled {
  const mistakes = new Mistakes()
  const notes: string[] = []
  const workspace = readYaml(settings, 'backfill.yaml', { schema: workspaceSchema, mistakes })
  const draft: WorkspaceDraft = (workspace && validate(workspaceSchema, workspace, mistakes)) ?? {}
  const document = readYaml(text, 'sources/acme.yaml', { schema: sourceSchema, mistakes })
  const source =
    document && workspace
      ? compileSource(document, { mistakes, notes, workspace, ...compileOptions(draft, document) })
      : null
  const lines = mistakes.problems.map(
    ({ file, line, path, expected, found }) => `${file}:${line ?? '-'}  ${path}  expected ${expected}, found ${found}`,
  )
  return { source, lines, notes }
}

/** A definition with one stream `users`; `lines` stand in it from line 8 on. */
export function usersYaml(...lines: readonly string[]): string {
  const stream = ['path: /users', 'key: id', 'columns: { id: int }', ...lines].map((line) => `    ${line}`)
  return ['source: acme', 'base_url: https://acme.example', 'streams:', '  users:', ...stream, ''].join('\n')
}

/** The stream `users` of a definition without mistakes. */
export function compileStreamYaml(text: string, settings = ''): Stream {
  const { source, lines } = compileYaml(text, settings)
  const stream = source?.streams.users
  if (stream === undefined || lines.length > 0) throw new Error(lines.join('\n') || 'no stream "users"')
  return stream
}

function compileOptions(draft: WorkspaceDraft, document: DefinitionDocument) {
  const name = (document.value as { readonly source?: string }).source ?? ''
  const entry = draft.sources?.[name]
  return {
    tables: { schema: draft.schema ?? 'public', deltaPrefix: draft.deltaPrefix ?? 'delta_' },
    defaults: draft.defaults ?? {},
    override: entry === undefined ? null : (entry ?? {}),
  }
}
