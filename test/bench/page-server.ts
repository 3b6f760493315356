/**
 * Serves users as pages, in a process of its own: `/users?page=&per_page=` (total in `X-Total`) and `/cell/<n>` (five rows, one page). Started by the
 * benchmarks with the number of users; prints its port. Ends with its parent.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { userOf } from './users.js'

const total = Number(process.argv[2] ?? '200000')
/** Pages of the sizes asked for so far; small sets are kept, so that the server's own work is not what is measured. */
const kept = new Map<string, Buffer>()
const mostKept = 6000

function page(number: number, size: number): Buffer {
  const key = `${number}/${size}`
  const found = kept.get(key)
  if (found !== undefined) return found
  const first = (number - 1) * size + 1
  const last = Math.min(total, number * size)
  const rows: string[] = []
  for (let id = first; id <= last; id += 1) rows.push(JSON.stringify(userOf(id)))
  const body = Buffer.from(`[${rows.join(',')}]`)
  if (kept.size < mostKept) kept.set(key, body)
  return body
}

function cell(number: number): Buffer {
  const rows = Array.from({ length: 5 }, (_, index) => ({ id: number * 5 + index, name: `cell ${number}.${index}` }))
  return Buffer.from(JSON.stringify(rows))
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const body = url.pathname.startsWith('/cell/')
    ? cell(Number(url.pathname.slice('/cell/'.length)))
    : page(Number(url.searchParams.get('page') ?? '1'), Number(url.searchParams.get('per_page') ?? '100'))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, 'x-total': total })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${String((server.address() as AddressInfo).port)}\n`)
})
process.stdin.resume().on('end', () => process.exit(0))
