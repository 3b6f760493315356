/**
 * Runs `backfill sql`: what a person typed, on the workspace's database. A table for people, an array of rows for programs, raw bytes for `copy … to stdout`.
 * Rows are printed as they come: a large result costs time, not memory.
 */
import { once } from 'node:events'
import { text as readAll } from 'node:stream/consumers'
import type { StatementEvent } from '../../destination/run-statement.js'
import { ConfigError } from '../../domain/errors.js'
import type { Workspace } from '../../domain/workspace-model.js'
import { databaseConfig, openWorkspaceLog } from '../compose.js'
import { exitCodes } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { complain } from '../say.js'
import type { Stop } from '../signals.js'
import { clean } from '../text.js'
import { jsonPrinter, type Printer, tablePrinter } from './printers.js'

export interface SqlAsked {
  readonly workspace: Workspace
  readonly statement: string
  readonly isJson: boolean
}

/** Answers the exit code. @throws ConfigError `statement_failed` with line and column; DestinationUnavailable where the server is at fault. */
export async function runSql({ workspace, statement, isJson }: SqlAsked, stop: Stop): Promise<number> {
  const sql = statement === '-' ? await readAll(process.stdin) : statement
  if (sql.trim() === '') throw new ConfigError('usage', 'run sql found no statement')
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, { command: 'sql' })
    const config = await databaseConfig(workspace, { opened, log, signal: stop.signal })
    const { runStatement } = await import('../../destination/run-statement.js')
    // Cut to the terminal only where there is one: a pipe must lose nothing.
    const columns = process.stdout.isTTY ? columnsOf(process.stdout) : Number.POSITIVE_INFINITY
    const printer = isJson ? jsonPrinter() : tablePrinter({ ink: inkFor(process.stdout), columns })
    for await (const event of runStatement({ config, sql, signal: stop.signal })) await print(event, printer)
    await write(printer.end())
    return exitCodes.done
  })
}

async function print(event: StatementEvent, printer: Printer): Promise<void> {
  switch (event.kind) {
    case 'columns':
      return write(printer.columns(event.names))
    case 'row':
      return write(printer.row(event.values))
    case 'done':
      return write(printer.done(event.command, event.rowCount))
    case 'notice':
      complain(`${event.severity}: ${clean(event.message)}`)
      return
    case 'copied':
      return write(event.data)
  }
}

async function write(text: string | Buffer): Promise<void> {
  if (text.length > 0 && !process.stdout.write(text)) await once(process.stdout, 'drain')
}
