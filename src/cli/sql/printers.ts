/** Answers of a statement as text, piece by piece. Pure but for the rows that wait for their table. */
import type { Ink } from '../ink.js'
import { renderTable } from '../table.js'
import { clean, plural, width } from '../text.js'

export interface Printer {
  columns(names: readonly string[]): string
  row(values: readonly (string | null)[]): string
  /** One statement has ended. */
  done(command: string, rowCount: number | null): string
  end(): string
}

/** Rows of one table: the widths of the next thousand are their own. */
const tableRows = 1000

/** A table for people. NULL is `∅`: an empty string must not look the same. */
export function tablePrinter(look: { readonly ink: Ink; readonly columns: number }): Printer {
  let names: readonly string[] | null = null
  let rows: string[][] = []
  let isFirst = true
  const flush = (): string => {
    if (names === null || (rows.length === 0 && !isFirst)) return ''
    const [head = '', ...body] = tableLines(names, rows, look)
    const text = `${(isFirst ? [head, ...body] : body).join('\n')}\n`
    rows = []
    isFirst = false
    return text
  }
  return {
    columns: (given) => {
      names = given
      isFirst = true
      return ''
    },
    row: (values) => {
      rows.push(values.map((value) => (value === null ? '∅' : clean(value))))
      return rows.length >= tableRows ? flush() : ''
    },
    done: (command, rowCount) => {
      // `copy … to stdout`: what follows the data would belong to it.
      if (command === 'COPY') return ''
      if (names === null) return `${rowCount === null ? command : `${command} ${rowCount}`}\n`
      const text = flush() + look.ink.dim(`(${plural(rowCount ?? 0, 'row')})\n`)
      names = null
      return text
    },
    end: () => '',
  }
}

function tableLines(
  names: readonly string[],
  rows: readonly (readonly string[])[],
  look: { readonly ink: Ink; readonly columns: number },
): readonly string[] {
  const right = names.flatMap((_, index) =>
    rows.length > 0 && rows.every((row) => isNumber(row[index] ?? '')) ? [index] : [],
  )
  const widths = names.map((name, index) => Math.max(width(name), ...rows.map((row) => width(row[index] ?? ''))))
  const paint = (text: string, row: number | null): string => (row === null || text === '∅' ? look.ink.dim(text) : text)
  // The widest column gives way.
  return renderTable({
    head: names,
    rows,
    right,
    flexible: widths.indexOf(Math.max(...widths)),
    columns: look.columns,
    paint,
  })
}

function isNumber(text: string): boolean {
  return text === '∅' || /^-?\d[\d.]*$/.test(text)
}

/**
 * One array of objects, values as Postgres writes them (text or null): no number loses a digit. Of several statements, the rows of the first that has any. Two
 * columns of one name are told apart by `_2`.
 */
export function jsonPrinter(): Printer {
  let names: readonly string[] | null = null
  let isOver = false
  let printed = 0
  return {
    columns: (given) => {
      isOver = names !== null
      if (!isOver) names = unique(given)
      return ''
    },
    row: (values) => {
      if (isOver || names === null) return ''
      const row = Object.fromEntries(names.map((name, index) => [name, values[index] ?? null]))
      printed += 1
      return `${printed === 1 ? '[\n' : ',\n'}  ${JSON.stringify(row)}`
    },
    done: () => '',
    end: () => (printed === 0 ? '[]\n' : '\n]\n'),
  }
}

function unique(names: readonly string[]): readonly string[] {
  const seen = new Map<string, number>()
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    return times === 1 ? name : `${name}_${times}`
  })
}
