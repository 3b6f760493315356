/** Tables without frames that never exceed the width they are given: one column gives way, the others keep their text. */
import Table from 'cli-table3'
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

const gap = 2
const bare = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'].map((name) => [
    name,
    '',
  ]),
)

/** The table as lines, without a trailing line break; trailing blanks are taken off. */
export function renderTable(shape: TableShape): readonly string[] {
  const widths = columnWidths(shape)
  const paint = shape.paint ?? ((text: string) => text)
  const table = new Table({
    chars: {
      ...bare,
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: ' '.repeat(gap),
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    // One more than the text: cli-table3 cuts a cell that is as wide as its column when it holds colours.
    colWidths: widths.map((columns) => columns),
    colAligns: widths.map((_, index) => (shape.right?.includes(index) === true ? 'right' : 'left')),
    wordWrap: false,
  })
  const cells = (row: readonly string[], position: number | null): string[] =>
    row.map((text, index) => paint(shorten(text, widths[index] ?? 0), position, index))
  table.push(cells(shape.head, null), ...shape.rows.map((row, index) => cells(row, index)))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
}

function columnWidths(shape: TableShape): readonly number[] {
  const widths = shape.head.map((title, index) =>
    Math.max(width(title), ...shape.rows.map((row) => width(row[index] ?? ''))),
  )
  const flexible = shape.flexible ?? 0
  const excess = widths.reduce((sum, columns) => sum + columns, gap * (widths.length - 1)) - shape.columns
  if (excess <= 0) return widths
  return widths.map((columns, index) => (index === flexible ? Math.max(6, columns - excess) : columns))
}
