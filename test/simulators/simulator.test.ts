// What every simulator can do: faults at the n-th request, the audit, control from another process, an end that leaves nothing behind.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterEach, expect, it } from 'vitest'
import { type CivicBand, startCivicBand } from '../../src/simulators/civic-band/civic-band.js'
import { ask, askJson } from './ask.js'

let band: CivicBand | null = null
afterEach(async () => {
  await band?.close()
  band = null
})

const sites = { 'oakland.ca': { agendas: 5, minutes: 150 } }
const minutes = (url: string) => `${url}/oakland.ca/meetings/minutes.json`

it('springs each fault on the request it names and on no other', async () => {
  band = await startCivicBand({
    sites,
    faults: [
      { from: 2, fault: { kind: 'status', status: 500, body: 'oops' } },
      { from: 3, fault: { kind: 'reset' } },
      { from: 4, fault: { kind: 'truncate' } },
      { from: 5, fault: { kind: 'cut' } },
      { path: 'agendas', times: null, fault: { kind: 'status', status: 429, headers: { 'retry-after': '3' } } },
    ],
  })
  const { url } = band
  expect((await ask(minutes(url))).status).toBe(200)
  expect(await ask(minutes(url))).toMatchObject({ status: 500, body: 'oops' })
  await expect(ask(minutes(url))).rejects.toMatchObject({ code: 'ECONNRESET' })
  await expect(ask(minutes(url))).rejects.toMatchObject({ code: 'ECONNRESET' })
  const cut = await ask(minutes(url))
  expect(cut.status).toBe(200)
  expect(() => JSON.parse(cut.body) as unknown).toThrow(SyntaxError)
  expect((await ask(minutes(url))).status).toBe(200)
  expect((await ask(minutes(url).replace('minutes', 'agendas'))).headers['retry-after']).toBe('3')
  expect(band.audit.entries().map(({ status, rows, fault }) => [status, rows, fault])).toEqual([
    [200, 100, null],
    [500, 0, 'status'],
    [0, 0, 'reset'],
    [200, 100, 'truncate'],
    [200, 100, 'cut'],
    [200, 100, null],
    [429, 0, 'status'],
  ])
})

it('keeps a hung request open until it closes, and a late one from leaving early', async () => {
  band = await startCivicBand({
    sites,
    faults: [{ fault: { kind: 'hang' } }, { from: 2, fault: { kind: 'latency', ms: 60 } }],
  })
  const hung = ask(minutes(band.url))
  const startedAt = performance.now()
  await ask(minutes(band.url))
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(58)
  await band.close()
  await expect(hung).rejects.toMatchObject({ code: 'ECONNRESET' })
})

it('says what is wrong when the port is taken', async () => {
  band = await startCivicBand({ sites })
  await expect(startCivicBand({ sites, port: band.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

it('runs as a process of its own, is audited and switched from outside, and ends with the process that started it', async () => {
  const serve = fileURLToPath(new URL('../../src/simulators/civic-band/serve.ts', import.meta.url))
  const options = JSON.stringify({ sites, untilInputEnds: true, identity: { for: 'test' } })
  const child = execa(process.execPath, ['--import', 'tsx', serve, options], { stdin: 'pipe' })
  const lines = createInterface({ input: child.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  const { url, pid } = JSON.parse(line) as { url: string; pid: number }
  expect(await askJson(`${url}/-/simulator`)).toEqual({ simulator: 'civic-band', pid, for: 'test' })

  await ask(minutes(url))
  await fetch(`${url}/-/switches`, { method: 'PUT', body: JSON.stringify({ challenge: 'always' }) })
  expect((await ask(minutes(url))).body).toContain('<!doctype html>')
  await fetch(`${url}/-/faults`, { method: 'PUT', body: JSON.stringify([{ fault: { kind: 'status', status: 503 } }]) })
  expect((await ask(minutes(url))).status).toBe(503)
  expect(await askJson(`${url}/-/audit?after=1`)).toMatchObject({ requests: 2, rows: 0, statuses: { 200: 1, 503: 1 } })
  expect(await askJson(`${url}/-/audit`)).toMatchObject({ requests: 3, rows: 100 })

  child.stdin.end()
  expect((await child).exitCode).toBe(0)
})
