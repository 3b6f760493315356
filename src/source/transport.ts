// Owns one HTTP exchange on the wire: connections, the time-out, the size limit, decompression. Judges no status and parses nothing.
// Keep-alive connections live here and die with the process; nothing else is kept.

import type { ClientRequest, IncomingHttpHeaders } from 'node:http'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Got, Request as GotStream, NativeRequestOptions, Response } from 'got'
import { got } from 'got'
import { SourceUnavailable, StoppedError } from '../domain/errors.js'
import { decompress, tooLarge } from './decompress.js'
import type { WireRequest } from './request.js'

/** A whole answer, decompressed. */
export interface WireAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The address that gave it, after redirects: what relative addresses in it are resolved against. Holds secrets. */
  readonly url: string
}
export interface WireLimits {
  /** From sending to the last byte. */
  readonly timeoutMs: number
  /** After decompression. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}
export interface Transport {
  /** @throws SourceUnavailable (no answer, a cut or damaged one), AnswerInvalid (too large), StoppedError. */
  send(request: WireRequest, limits: WireLimits): Promise<WireAnswer>
  close(): void
}

const mostClients = 64

/**
 * got's promise interface was measured at 0.67 ms of CPU a request of 60 kB, its stream interface at 0.43, and with native options that name only
 * what is set at 0.38 (bare node:http: 0.20). Retries, redirects and decompression are ours, so got's are off.
 */
export function createTransport(): Transport {
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) }
  const base = got.extend({
    isStream: true,
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
    agent: agents,
    request: requestPlainly,
  })
  // One client for each set of headers: merging options into each request cost 0.04 ms. A bound, for headers that change with each request.
  const clients = new Map<string, Pick<Got, 'stream'>>()
  const clientFor = (headers: WireRequest['headers']) => {
    const key = JSON.stringify(headers)
    const known = clients.get(key)
    if (known !== undefined) return known
    if (clients.size >= mostClients) clients.clear()
    const client = base.extend({ headers: { ...headers } })
    clients.set(key, client)
    return client
  }
  return {
    send: async (request, limits) => {
      const client = clientFor(request.headers)
      const open = () =>
        request.method === 'GET'
          ? client.stream(request.url)
          : client.stream.post(request.url, { body: request.body ?? '' })
      const { body, ...answer } = await receive(open, request, limits)
      return {
        ...answer,
        body: await decompress(body, answer.headers, { address: request.address, maxBytes: limits.maxBytes }),
      }
    },
    close: () => {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

/** The two dozen TLS options that got passes as undefined cost more than the request's own; undefined leaves https to got. */
function requestPlainly(url: URL, options: NativeRequestOptions): ClientRequest | undefined {
  if (url.protocol !== 'http:') return undefined
  return httpRequest({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port,
    path: url.pathname + url.search,
    method: options.method,
    headers: options.headers,
    agent: options.agent as HttpAgent,
  })
}

async function receive(open: () => GotStream, request: WireRequest, limits: WireLimits): Promise<WireAnswer> {
  const { signal, timeoutMs, maxBytes } = limits
  if (signal.aborted) throw new StoppedError()
  return await new Promise((resolve, reject) => {
    const stream = open()
    const pieces: Buffer[] = []
    let size = 0
    let response: Response | null = null
    const end = (settle: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      settle()
    }
    const fail = (error: Error) => {
      end(() => reject(error))
      stream.destroy()
    }
    const stop = () => fail(new StoppedError())
    const timer = setTimeout(() => fail(tooSlow(request, timeoutMs, response)), timeoutMs)
    signal.addEventListener('abort', stop, { once: true })
    stream.on('error', (error) => fail(lost(request, error)))
    stream.once('response', (head: Response) => {
      response = head
      if (Number(head.headers['content-length'] ?? 0) > maxBytes) fail(tooLarge(request, maxBytes))
    })
    stream.on('data', (piece: Buffer) => {
      size += piece.length
      pieces.push(piece)
      if (size > maxBytes) fail(tooLarge(request, maxBytes))
    })
    stream.once('end', () => {
      if (response === null) return
      const { statusCode, headers } = response
      // A copy even of one piece: a piece keeps the socket's whole read buffer alive, and bodies are kept until their rows are promoted.
      end(() => resolve({ status: statusCode, headers, body: Buffer.concat(pieces, size), url: request.url }))
    })
  })
}

function tooSlow(request: WireRequest, timeoutMs: number, response: Response | null): SourceUnavailable {
  const fact = response === null ? 'no answer' : 'half an answer'
  return new SourceUnavailable('timeout', `fetch ${request.address} found ${fact} after ${timeoutMs} ms`, {
    hint: 'raise "timeout" of the stream where the source is only slow',
    context: { timeout_ms: timeoutMs },
  })
}

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection refused',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'no answer from the name server',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'no connection in time',
}

function lost(request: WireRequest, error: Error): SourceUnavailable {
  const code = errorCode(error)
  const fact = unreachable[code]
  // The cause is left out: its properties hold the request's headers.
  if (fact !== undefined)
    return new SourceUnavailable('unreachable', `fetch ${request.address} found ${fact} (${code})`)
  return new SourceUnavailable('connection_lost', `fetch ${request.address} found the connection broken off (${code})`)
}

function errorCode(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return code ?? error.name
}
