/**
 * Columns of text that never exceed the width they are given: one column gives way, the others keep their text. `status` is drawn with these and not with
 * cli-table3 (src/cli/table.ts), whose first table costs a third of Node's own start.
 */
import { shorten, width } from './text.js'

export interface TableShape {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Positions of columns that are aligned to the right. */
  readonly right?: readonly number[]
  /** The column that is cut where the whole is too wide; the first by default. */
  readonly flexible?: number
  readonly columns: number
  /** Colours a finished cell: widths are counted before. `row` is null for the head. */
  readonly paint?: (text: string, row: number | null, column: number) => string
}

export const gap = 2

/** The head and the rows as lines, without trailing blanks. */
export function renderColumns(shape: TableShape): readonly string[] {
  const widths = columnWidths(shape)
  const line = (row: readonly string[], position: number | null): string =>
    row
      .map((text, index) => cell(shape, { text, columns: widths[index] ?? 0, position, index }))
      .join(' '.repeat(gap))
      .trimEnd()
  return [line(shape.head, null), ...shape.rows.map((row, index) => line(row, index))]
}

interface Cell {
  readonly text: string
  readonly columns: number
  readonly position: number | null
  readonly index: number
}

function cell(shape: TableShape, { text, columns, position, index }: Cell): string {
  const short = shorten(text, columns)
  const blanks = ' '.repeat(Math.max(0, columns - width(short)))
  const painted = shape.paint === undefined ? short : shape.paint(short, position, index)
  return shape.right?.includes(index) === true ? blanks + painted : painted + blanks
}

/** Each column as wide as its widest text, but for the flexible one, which takes what is left. */
export function columnWidths(shape: TableShape): readonly number[] {
  const widths = shape.head.map((title, index) =>
    Math.max(width(title), ...shape.rows.map((row) => width(row[index] ?? ''))),
  )
  const flexible = shape.flexible ?? 0
  const excess = widths.reduce((sum, columns) => sum + columns, gap * (widths.length - 1)) - shape.columns
  if (excess <= 0) return widths
  return widths.map((columns, index) => (index === flexible ? Math.max(4, columns - excess) : columns))
}
