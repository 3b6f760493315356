/**
 * Stands between a worker and both of its outside worlds, Postgres and the API, numbers every message that passes in either direction, and does at a chosen
 * one what a bad day does: nothing more gets through, the connection is cut, falls silent, or is late. Listens on loopback or on a Unix socket.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { ProxyTarget } from '../support/proxy.js'
import { type Frame, type Framer, httpFrames, postgresClientFrames, postgresServerFrames } from './frames.js'

export interface WireMessage {
  /** From 1, over all connections, since the last `begin`. */
  readonly number: number
  readonly channel: 'database' | 'api'
  readonly to: 'server' | 'client'
  readonly label: string
}
/**
 * What becomes of a message. `stop`: it and all that follows is lost, connections end with their process. `cut`: half of it arrives, then its connection is
 * reset. `freeze`: it and all that follows on its connection is lost, and neither side hears of the other's end.
 */
export type Verdict = 'pass' | 'stop' | 'cut' | 'freeze' | { readonly delayMs: number }

export interface WireTap {
  readonly databasePort: number
  readonly apiPort: number
  /** All messages since the last `begin`. */
  readonly messages: readonly WireMessage[]
  /** Counts from 1 again, with everything open, and asks `judge` about each message. */
  begin(judge?: (message: WireMessage) => Verdict): void
  /** Ends connections that a freeze left open. */
  thaw(): void
  close(): Promise<void>
}

interface Gate {
  readonly pairs: Set<Pair>
  /** Asks what becomes of a message; nothing passes once it said `stop`. */
  meet(message: Omit<WireMessage, 'number'>): Verdict
}
interface Pair {
  readonly client: Socket
  readonly upstream: Socket
  isFrozen: boolean
}
interface Way {
  readonly channel: WireMessage['channel']
  readonly to: WireMessage['to']
  readonly framer: Framer
}

export async function tapWire(targets: {
  readonly database: ProxyTarget
  readonly api: ProxyTarget
}): Promise<WireTap> {
  let messages: WireMessage[] = []
  let judge: (message: WireMessage) => Verdict = () => 'pass'
  let isStopped = false
  const gate: Gate = {
    pairs: new Set(),
    meet: (met) => {
      if (isStopped) return 'stop'
      const message = { ...met, number: messages.length + 1 }
      messages.push(message)
      const verdict = judge(message)
      isStopped = verdict === 'stop'
      return verdict
    },
  }
  const database = await listen(targets.database, 'database', gate)
  const api = await listen(targets.api, 'api', gate)
  return {
    databasePort: portOf(database),
    apiPort: portOf(api),
    get messages() {
      return messages
    },
    begin: (newJudge = () => 'pass') => {
      messages = []
      judge = newJudge
      isStopped = false
    },
    thaw: () => {
      for (const pair of [...gate.pairs]) if (pair.isFrozen) end(pair, gate)
    },
    close: async () => {
      for (const pair of [...gate.pairs]) end(pair, gate)
      await Promise.all([database, api].map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}

async function listen(target: ProxyTarget, channel: WireMessage['channel'], gate: Gate): Promise<Server> {
  const server = createServer((client) => join({ client, upstream: connect(target), isFrozen: false }, channel, gate))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

function join(pair: Pair, channel: WireMessage['channel'], gate: Gate): void {
  gate.pairs.add(pair)
  for (const socket of [pair.client, pair.upstream]) {
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => pair.isFrozen || end(pair, gate))
  }
  const isHttp = channel === 'api'
  pass(pair, { channel, to: 'server', framer: isHttp ? httpFrames() : postgresClientFrames() }, gate)
  pass(pair, { channel, to: 'client', framer: isHttp ? httpFrames() : postgresServerFrames() }, gate)
}

function pass(pair: Pair, { channel, to, framer }: Way, gate: Gate): void {
  const [from, into] = to === 'server' ? [pair.client, pair.upstream] : [pair.upstream, pair.client]
  let turn = Promise.resolve()
  from.on('data', (bytes: Buffer) => {
    for (const frame of framer(bytes)) {
      // In order: a late message makes those behind it late.
      turn = turn.then(() => handle(frame))
    }
  })
  async function handle({ bytes, label }: Frame): Promise<void> {
    if (pair.isFrozen || into.destroyed) return
    const verdict = gate.meet({ channel, to, label })
    if (verdict === 'stop') return
    if (verdict === 'freeze') {
      pair.isFrozen = true
      return
    }
    if (verdict === 'cut') {
      into.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => end(pair, gate))
      return
    }
    if (verdict !== 'pass') await new Promise((resolve) => setTimeout(resolve, verdict.delayMs))
    send(into, bytes)
  }
}

function send(into: Socket, bytes: Buffer): void {
  if (!into.destroyed) into.write(bytes)
}

function end(pair: Pair, gate: Gate): void {
  pair.client.destroy()
  pair.upstream.destroy()
  gate.pairs.delete(pair)
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
