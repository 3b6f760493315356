/**
 * A table in memory: rows by id, in any order that a request sorts by. Rows are never changed in place, so a list taken once stays as it was. It knows no
 * resource and no HTTP. Orders are kept and repaired after a change (nearly sorted already), so that a walk does not sort the table at every page.
 */

/** Fields to sort by; the first decides. Ascending puts null last, descending first, as Postgres does. */
export type Order = readonly { readonly field: string; readonly descending: boolean }[]

interface Kept<Row> {
  readonly version: number
  readonly lastId: number
  readonly rows: readonly Row[]
}

export class Table<Row extends { readonly id: number }> {
  readonly name: string
  readonly #rows = new Map<number, Row>()
  readonly #orders = new Map<string, Kept<Row>>()
  #lastId: number
  #version = 0

  constructor(name: string, firstId: number) {
    this.name = name
    this.#lastId = firstId - 1
  }

  get size(): number {
    return this.#rows.size
  }

  /** Another number after every change. */
  get version(): number {
    return this.#version
  }

  get(id: number): Row | undefined {
    return this.#rows.get(id)
  }

  /** The id after the greatest that was ever in it: a deleted one never comes back. */
  nextId(): number {
    return this.#lastId + 1
  }

  /** @throws RangeError where the id is there already. */
  insert(row: Row): Row {
    if (this.#rows.has(row.id)) throw new RangeError(`${this.name} has a row ${row.id} already`)
    // An order is repaired by its new ids, which are taken for the greatest.
    if (row.id <= this.#lastId) this.#orders.clear()
    this.#rows.set(row.id, row)
    this.#lastId = Math.max(this.#lastId, row.id)
    this.#version += 1
    return row
  }

  /** @throws RangeError where there is no such row. */
  update(id: number, change: Partial<Row>): Row {
    const row = { ...this.#existing(id), ...change, id }
    this.#rows.set(id, row)
    this.#version += 1
    return row
  }

  /** @throws RangeError where there is no such row. */
  delete(id: number): Row {
    const row = this.#existing(id)
    this.#rows.delete(id)
    this.#version += 1
    return row
  }

  /** All rows in no order that means anything. */
  values(): IterableIterator<Row> {
    return this.#rows.values()
  }

  /** Any row, each about as likely as another, or null where there is none. */
  any(random: () => number): Row | null {
    // Ids have few gaps, so a guess nearly always hits; sorting a table for one row would cost more than the change itself.
    const [first] = this.#rows.keys()
    for (let guess = 0; first !== undefined && guess < 50; guess += 1) {
      const row = this.#rows.get(first + Math.floor(random() * (this.#lastId - first + 1)))
      if (row !== undefined) return row
    }
    return this.all()[Math.floor(random() * this.size)] ?? null
  }

  /** All rows by ascending id. */
  all(): readonly Row[] {
    return this.ordered([{ field: 'id', descending: false }])
  }

  ordered(order: Order): readonly Row[] {
    const name = order.map(({ field, descending }) => `${descending ? '-' : ''}${field}`).join()
    const kept = this.#orders.get(name)
    if (kept?.version === this.#version) return kept.rows
    const rows = kept === undefined ? [...this.#rows.values()] : this.#repaired(kept)
    rows.sort(comparison(order))
    this.#orders.set(name, { version: this.#version, lastId: this.#lastId, rows })
    return rows
  }

  #repaired(kept: Kept<Row>): Row[] {
    const rows: Row[] = []
    for (const { id } of kept.rows) {
      const row = this.#rows.get(id)
      if (row !== undefined) rows.push(row)
    }
    for (let id = kept.lastId + 1; id <= this.#lastId; id += 1) {
      const row = this.#rows.get(id)
      if (row !== undefined) rows.push(row)
    }
    return rows
  }

  #existing(id: number): Row {
    const row = this.#rows.get(id)
    if (row === undefined) throw new RangeError(`${this.name} has no row ${id}`)
    return row
  }
}

/** Compares two rows; equal ones by their id, ascending. */
function comparison(order: Order): (one: { readonly id: number }, other: { readonly id: number }) => number {
  return (one, other) => compareBy(order, one, other) || one.id - other.id
}

/** Compares two rows by these fields alone. */
export function compareBy(order: Order, one: object, other: object): number {
  for (const { field, descending } of order) {
    const compared = compareValues(fieldOf(one, field), fieldOf(other, field))
    if (compared !== 0) return descending ? -compared : compared
  }
  return 0
}

/** A field by its name on the wire. */
export function fieldOf(row: object, field: string): unknown {
  return (row as Record<string, unknown>)[field]
}

function compareValues(one: unknown, other: unknown): number {
  if (one === other) return 0
  if (one === null || one === undefined) return other === null || other === undefined ? 0 : 1
  if (other === null || other === undefined) return -1
  return (one as string) < (other as string) ? -1 : 1
}
