/** Tables of rows from elsewhere (`sql`, `verify`, a dry run): no frames, never wider than they may be. */
import Table from 'cli-table3'
import { columnWidths, fitted, gap, type TableShape } from './columns.js'

const frame = ['top', 'bottom', 'left', 'mid', 'right'].flatMap((part) => [
  part,
  `${part}-mid`,
  `${part}-left`,
  `${part}-right`,
])
const noFrame = { ...Object.fromEntries(frame.map((part) => [part, ''])), middle: ' '.repeat(gap) }

/** The table as lines, without trailing blanks. */
export function renderTable(shape: TableShape): readonly string[] {
  const widths = columnWidths(shape)
  const paint = shape.paint ?? ((text: string) => text)
  const table = new Table({
    chars: noFrame,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colWidths: [...widths],
    colAligns: widths.map((_, index) => (shape.right?.includes(index) === true ? 'right' : 'left')),
    wordWrap: false,
  })
  const cells = (row: readonly string[], position: number | null): string[] =>
    row.map((text, index) => paint(fitted(shape, text, { index, columns: widths[index] ?? 0 }), position, index))
  table.push(cells(shape.head, null), ...shape.rows.map((row, index) => cells(row, index)))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
}
