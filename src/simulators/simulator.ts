/**
 * The part that all simulated services share: a real HTTP server on loopback with an audit, faults and switches. It knows no service: a service is a
 * function from request to answer. Nothing survives the process; `close` cuts every open connection.
 *
 * Private control, for other processes: `GET /-/audit[?after=N]`, `GET /-/simulator`, `GET` and `PUT /-/switches` (JSON), `PUT /-/faults` (JSON list).
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Audit, AuditLog } from './audit.js'
import { type Fault, FaultPlan, type FaultRule } from './faults.js'

export interface SimulatorRequest {
  readonly method: string
  /** Absolute, on the host that the client named. */
  readonly url: URL
  /** Path and query as sent, not decoded. */
  readonly path: string
  /** Host header without the port. */
  readonly host: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The client's IP address. */
  readonly remote: string
  /** Unix ms. */
  readonly at: number
}

export interface SimulatorAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Rows in it, for the audit. */
  readonly rows: number
  /** More for the audit. */
  readonly labels?: Readonly<Record<string, string | number>>
}

export interface SimulatorOptions<Switches extends object> {
  readonly name: string
  /** 0 or absent: any free port. */
  readonly port?: number | undefined
  readonly switches: Switches
  readonly faults?: readonly FaultRule[] | undefined
  /** Told to those who ask `GET /-/simulator`: who started it, for what. */
  readonly identity?: Readonly<Record<string, string | number>> | undefined
  /** Reads the switches at every request, so that a change acts on the next one. Called when the request is answered, after its delay: `at`, Unix ms. */
  readonly answer: (request: SimulatorRequest, switches: Switches, at: number) => SimulatorAnswer
  /** How long a request lies with the service before it is answered, ms; the switches of its arrival count. None by default. */
  readonly delayMs?: ((request: SimulatorRequest, switches: Switches) => number) | undefined
  /** Control of its own (`/-/…`), asked before the shared one: a value is answered as JSON, undefined is not its route, a RangeError is a 400. */
  readonly control?: ((request: SimulatorRequest) => unknown) | undefined
}

export interface Simulator<Switches extends object> {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  readonly audit: Audit
  /** Changes some switches; the others stay. */
  set(switches: Partial<Switches>): void
  /** Replaces all fault rules; counting starts again. */
  setFaults(rules: readonly FaultRule[]): void
  switches(): Switches
  close(): Promise<void>
}

/** Starts it. @throws the socket's own error (`EADDRINUSE`) where the port is taken. */
export async function startSimulator<Switches extends object>(
  options: SimulatorOptions<Switches>,
): Promise<Simulator<Switches>> {
  const state = new SimulatorState(options)
  // Longer than any pace of a client: a kept connection closed between two of its requests would be a fault that nobody switched on.
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    state.serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const port = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    audit: state.audit,
    set: (switches) => state.set(switches),
    setFaults: (rules) => state.faults.set(rules),
    switches: () => state.switches,
    close: () =>
      new Promise((resolve) => {
        state.closing.abort()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

class SimulatorState<Switches extends object> {
  readonly audit = new AuditLog()
  readonly faults = new FaultPlan()
  readonly closing = new AbortController()
  readonly #options: SimulatorOptions<Switches>
  switches: Switches

  constructor(options: SimulatorOptions<Switches>) {
    this.#options = options
    this.switches = { ...options.switches }
    this.faults.set(options.faults ?? [])
  }

  set(switches: Partial<Switches>): void {
    this.switches = { ...this.switches, ...switches }
  }

  async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming)
    if (request.url.pathname.startsWith('/-/')) {
      this.#control(request, response)
      return
    }
    const number = this.audit.nextNumber()
    const fault = this.faults.next(request.path)
    const delayMs = this.#options.delayMs?.(request, this.switches) ?? 0
    if (delayMs > 0) await wait(delayMs, undefined, { signal: this.closing.signal })
    // One instant for the service, which may judge by it, and for the audit.
    const answeredAt = Date.now()
    const answer = this.#answer(request, fault, answeredAt)
    const status = fault?.kind === 'reset' || fault?.kind === 'hang' ? 0 : answer.status
    const rows = status >= 200 && status < 300 ? answer.rows : 0
    // Recorded before it is sent: whoever has read the answer finds it in the audit.
    const { method, host, path, at } = request
    const labels = answer.labels ?? {}
    this.audit.add({
      number,
      at,
      answeredAt,
      method,
      host,
      path,
      status,
      rows,
      fault: fault?.kind ?? null,
      labels,
    })
    await this.#send(response, answer, fault)
  }

  #answer(request: SimulatorRequest, fault: Fault | null, at: number): SimulatorAnswer {
    if (fault?.kind !== 'status') return this.#options.answer(request, this.switches, at)
    const headers = { 'content-type': 'text/plain; charset=utf-8', ...fault.headers }
    return { status: fault.status, headers, body: fault.body ?? '', rows: 0 }
  }

  async #send(response: ServerResponse, answer: SimulatorAnswer, fault: Fault | null): Promise<void> {
    const body = Buffer.from(answer.body)
    switch (fault?.kind) {
      case undefined:
      case 'status':
        finish(response, answer, body)
        return
      case 'latency':
        await wait(fault.ms, undefined, { signal: this.closing.signal })
        finish(response, answer, body)
        return
      case 'cut':
        finish(response, answer, firstHalf(body))
        return
      case 'truncate':
        response.writeHead(answer.status, { ...answer.headers, 'content-length': body.length })
        // Cut only when the half is on its way, or the client would see a reset without a status.
        await new Promise<void>((resolve) => response.write(firstHalf(body), () => resolve()))
        response.destroy()
        return
      case 'reset':
        response.socket?.resetAndDestroy()
        return
      case 'hang':
        return
    }
  }

  #control(request: SimulatorRequest, response: ServerResponse): void {
    const own = this.#ownControl(request)
    if (own !== null) return finish(response, own, Buffer.from(own.body))
    const route = `${request.method} ${request.url.pathname}`
    const after = Number(request.url.searchParams.get('after') ?? 0)
    if (route === 'PUT /-/switches') this.set(JSON.parse(request.body) as Partial<Switches>)
    if (route === 'PUT /-/faults') this.faults.set(JSON.parse(request.body) as FaultRule[])
    const answers: Record<string, () => unknown> = {
      'GET /-/audit': () => ({ ...this.audit.totals(after), entries: this.audit.entries(after) }),
      'GET /-/simulator': () => ({ simulator: this.#options.name, pid: process.pid, ...this.#options.identity }),
      'GET /-/switches': () => this.switches,
      'PUT /-/switches': () => this.switches,
      'PUT /-/faults': () => ({}),
    }
    const answer = answers[route]
    const control = jsonAnswer(answer === undefined ? 404 : 200, answer?.() ?? { error: `no ${route}` })
    finish(response, control, Buffer.from(control.body))
  }

  #ownControl(request: SimulatorRequest): SimulatorAnswer | null {
    try {
      const value = this.#options.control?.(request)
      return value === undefined ? null : jsonAnswer(200, value)
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error
      return jsonAnswer(400, { error: error.message })
    }
  }
}

/** A JSON answer, with the rows that it holds. */
export function jsonAnswer(status: number, value: unknown, rows = 0): SimulatorAnswer {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8' }, body: JSON.stringify(value), rows }
}

/** An HTML answer. */
export function htmlAnswer(status: number, body: string): SimulatorAnswer {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body, rows: 0 }
}

function finish(response: ServerResponse, answer: SimulatorAnswer, body: Buffer): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': body.length })
  response.end(body)
}

function firstHalf(body: Buffer): Buffer {
  return body.subarray(0, Math.floor(body.length / 2))
}

async function readRequest(incoming: IncomingMessage): Promise<SimulatorRequest> {
  const pieces: Buffer[] = []
  for await (const piece of incoming) pieces.push(piece as Buffer)
  const path = incoming.url ?? '/'
  const authority = incoming.headers.host ?? '127.0.0.1'
  // Not `new URL(path, base)`: a path that begins with two slashes would name another host.
  const url = new URL(`http://${authority}${path}`)
  return {
    method: incoming.method ?? 'GET',
    url,
    path,
    host: url.hostname,
    headers: incoming.headers,
    body: Buffer.concat(pieces).toString('utf8'),
    remote: incoming.socket.remoteAddress ?? 'unknown',
    at: Date.now(),
  }
}
