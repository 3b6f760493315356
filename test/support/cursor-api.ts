/** A small API on loopback that names the next page in the one before: `/items?after=`. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const pageSize = 10

export interface CursorApi {
  readonly url: string
  /** Pages that answer 500, from 1. */
  readonly broken: Set<number>
  close(): Promise<void>
}

export async function startCursorApi(rows: number): Promise<CursorApi> {
  const broken = new Set<number>()
  const server = createServer((request, response) => {
    const after = Number(new URL(request.url ?? '/', 'http://localhost').searchParams.get('after') ?? '0')
    const isBroken = broken.has(after / pageSize + 1)
    const ids = Array.from({ length: rows }, (_, at) => at + 1).filter((id) => id > after)
    const page = ids.slice(0, pageSize)
    response.writeHead(isBroken ? 500 : 200, { 'content-type': 'application/json' })
    const next = ids.length > pageSize ? String(page.at(-1)) : null
    response.end(JSON.stringify(isBroken ? { error: 'no' } : { rows: page.map((id) => ({ id })), next }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections()
      server.close(() => {
        resolve()
      })
    })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, broken, close }
}

/** The definition of this API as a source `cursor` with the stream `item`. */
export function cursorYaml(url: string): string {
  return `source: cursor
base_url: ${url}
budget: { delay: 0s }
retry_delay: 20ms
streams:
  item:
    path: /items
    answer: { rows: rows }
    paginate: { cursor: next, param: after }
    key: id
    columns: { id: bigint }
`
}
