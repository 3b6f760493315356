/**
 * A TCP proxy with faults, between a client and a server on a port or a Unix socket: the network as it fails in the field. Listens on loopback only.
 */
import { connect, createServer, type Socket } from 'node:net'

export type ProxyTarget = { readonly path: string } | { readonly host: string; readonly port: number }

export interface Proxy {
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** From now on bytes are swallowed in both directions: no reset, no end, silence. */
  freeze(): void
  /** Silence from the moment a client sends this text; it still reaches the server. */
  freezeAt(text: string): void
  /** What a client sends from now on arrives this much later. */
  delay(ms: number): void
  /** Resets every connection. */
  cut(): void
  /** The next request that contains the text reaches the server, whose answer is awaited and swallowed; then the client is reset. Resolves then. */
  cutAnswerOf(text: string): Promise<void>
  /** The next request that contains the text never reaches the server: both sides are reset. Resolves then. */
  cutBefore(text: string): Promise<void>
  close(): Promise<void>
}

interface Fault {
  readonly kind: 'freeze' | 'cut answer' | 'cut before'
  readonly text: string
  readonly done: () => void
}

/** Starts one on a free port. */
export async function startProxy(target: ProxyTarget): Promise<Proxy> {
  const state = { isFrozen: false, delayMs: 0, fault: null as Fault | null }
  const pairs = new Set<readonly [Socket, Socket]>()
  const reset = (pair: readonly [Socket, Socket]): void => {
    for (const socket of pair) socket.destroy()
    pairs.delete(pair)
  }
  const server = createServer((client) => {
    const upstream = connect(target)
    const pair = [client, upstream] as const
    let isAnswerAwaited: (() => void) | null = null
    pairs.add(pair)
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => reset(pair))
      socket.on('close', () => state.isFrozen || reset(pair))
    }
    client.on('data', (bytes: Buffer) => {
      const fault = state.fault !== null && bytes.includes(state.fault.text) ? state.fault : null
      if (fault !== null) state.fault = null
      if (fault?.kind === 'cut before') {
        reset(pair)
        fault.done()
        return
      }
      if (fault?.kind === 'cut answer') isAnswerAwaited = fault.done
      if (!state.isFrozen) setTimeout(() => upstream.write(bytes), state.delayMs)
      if (fault?.kind === 'freeze') {
        state.isFrozen = true
        fault.done()
      }
    })
    upstream.on('data', (bytes: Buffer) => {
      if (isAnswerAwaited !== null) {
        reset(pair)
        isAnswerAwaited()
      } else if (!state.isFrozen) client.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const arm = (kind: Fault['kind'], text: string): Promise<void> =>
    new Promise((done) => {
      state.fault = { kind, text, done }
    })
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get connections() {
      return pairs.size
    },
    freeze: () => {
      state.isFrozen = true
    },
    freezeAt: (text) => void arm('freeze', text),
    delay: (ms) => {
      state.delayMs = ms
    },
    cut: () => {
      for (const pair of [...pairs]) reset(pair)
    },
    cutAnswerOf: (text) => arm('cut answer', text),
    cutBefore: (text) => arm('cut before', text),
    close: async () => {
      for (const pair of [...pairs]) reset(pair)
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
