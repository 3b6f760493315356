// Asks a simulator as any client would, with node:http, so that Host and User-Agent can be chosen and no redirect is followed.
import { type IncomingHttpHeaders, request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** @throws the socket's error (`ECONNRESET`), also where the body ends before its length. */
export function ask(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  return send(url, { method: 'GET', headers, body: '' })
}

/** Sends a body; its type is the caller's to say. */
export function post(url: string, body: string, headers: Record<string, string> = {}): Promise<Answer> {
  return send(url, { method: 'POST', headers, body })
}

interface Sent {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: string
}

function send(url: string, { method, headers, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () => {
        const body = Buffer.concat(pieces).toString('utf8')
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

export async function askJson<T>(url: string, headers: Record<string, string> = {}): Promise<T> {
  return JSON.parse((await ask(url, headers)).body) as T
}
