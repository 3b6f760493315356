/**
 * What a configuration allows and yet is worth a word (a password in plain, http to another machine): on standard error, where `--json` does not mind. People at a
 * terminal see it with every command. Where nobody looks (cron mails what is printed) it is told once after each change of the files.
 */
import type { Workspace } from '../domain/workspace-model.js'
import { redactor } from '../log/redact.js'
import { complain } from './say.js'
import { clean } from './text.js'

export function tellNotes({ notes = [], areNotesNew = false }: Pick<Workspace, 'notes' | 'areNotesNew'>): void {
  const hasTerminal = process.stdout.isTTY || process.stderr.isTTY
  if (!hasTerminal && !areNotesNew) return
  const redact = redactor(process.env)
  for (const note of notes) complain(redact(`Note: ${clean(note)}`))
}
