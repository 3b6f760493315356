/** Owns the order in which requests of one process wait for one key: first come, first served. Nothing here survives a kill, and nothing needs to. */

export interface Place {
  isFirst(): boolean
  /** Called when the place may have become the first, or something the first waits for has happened. */
  onChange: () => void
  leave(): void
}

export interface Line {
  join(): Place
  /** Something happened that the first may wait for. */
  wakeFirst(): void
  /** The earliest opening that the first has found, Unix ms: nobody behind it goes sooner. */
  opensAt: number
  setOpensAt(opensAt: number): void
  /** Requests of this process under way. */
  underWay: number
}

export function createLine(): Line {
  const places: Place[] = []

  function leave(place: Place): void {
    const index = places.indexOf(place)
    if (index < 0) return
    places.splice(index, 1)
    if (index === 0) line.wakeFirst()
  }

  const line: Line = {
    opensAt: 0,
    underWay: 0,
    join: () => {
      const place: Place = { isFirst: () => places[0] === place, onChange: () => undefined, leave: () => leave(place) }
      places.push(place)
      return place
    },
    wakeFirst: () => places[0]?.onChange(),
    setOpensAt: (opensAt) => {
      if (opensAt === line.opensAt) return
      line.opensAt = opensAt
      for (const place of places.slice(1)) place.onChange()
    },
  }
  return line
}
