/**
 * Columns of text that never exceed the width they are given: one column gives way, the others keep their text. `status` is drawn with these and not with
 * cli-table3 (src/cli/table.ts), whose first table costs a third of Node's own start.
 */
import { shorten, shortenMiddle, width } from './text.js'

export interface TableShape {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Positions of columns that are aligned to the right. */
  readonly right?: readonly number[]
  /** The column that is cut where the whole is too wide; the first by default. */
  readonly flexible?: number
  /** Positions of columns whose text is cut in its middle: names that differ at their ends. */
  readonly middle?: readonly number[]
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
  const short = fitted(shape, text, { index, columns })
  const blanks = ' '.repeat(Math.max(0, columns - width(short)))
  const painted = shape.paint === undefined ? short : shape.paint(short, position, index)
  return shape.right?.includes(index) === true ? blanks + painted : painted + blanks
}

/** A cell's text in its column's width. */
export function fitted(
  { middle }: Pick<TableShape, 'middle'>,
  text: string,
  { index, columns }: { readonly index: number; readonly columns: number },
): string {
  return middle?.includes(index) === true ? shortenMiddle(text, columns) : shorten(text, columns)
}

/** What the flexible column keeps while another can give way, and what every column keeps. */
const comfortable = 12
const least = 4

/** Each column as wide as its widest text; where that is too much the flexible one gives way first, then the widest of those that are not numbers. */
export function columnWidths(shape: TableShape): readonly number[] {
  const widths = shape.head.map((title, index) =>
    Math.max(width(title), ...shape.rows.map((row) => width(row[index] ?? ''))),
  )
  let excess = widths.reduce((sum, columns) => sum + columns, gap * (widths.length - 1)) - shape.columns
  const flexible = shape.flexible ?? 0
  while (excess > 0) {
    const at = (widths[flexible] ?? 0) > comfortable ? flexible : widestOf(widths, shape)
    const columns = widths[at] ?? 0
    if (columns <= least) break
    widths[at] = columns - 1
    excess -= 1
  }
  return widths
}

function widestOf(widths: readonly number[], { right }: TableShape): number {
  const texts = widths.map((columns, index) => (right?.includes(index) === true ? 0 : columns))
  return texts.indexOf(Math.max(...texts))
}
