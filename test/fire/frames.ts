/**
 * Cuts a stream of bytes into the messages of its protocol, so that a fault can be set between any two of them. Postgres messages by their own length (no
 * TLS); HTTP by what arrives together, which for small pages on loopback is one request or one answer.
 */

export interface Frame {
  readonly bytes: Buffer
  /** What it is, for people: `Q commit`, `C COMMIT`, `GET /a/things?page=2`. */
  readonly label: string
}
/** Takes bytes as they come, answers the messages that they complete. */
export type Framer = (bytes: Buffer) => readonly Frame[]

const clientNames: Readonly<Record<string, string>> = {
  Q: 'Query',
  P: 'Parse',
  B: 'Bind',
  D: 'Describe',
  E: 'Execute',
  S: 'Sync',
  d: 'CopyData',
  c: 'CopyDone',
  f: 'CopyFail',
  X: 'Terminate',
  C: 'Close',
  H: 'Flush',
  p: 'Password',
}
const serverNames: Readonly<Record<string, string>> = {
  R: 'Authentication',
  S: 'ParameterStatus',
  K: 'BackendKeyData',
  Z: 'ReadyForQuery',
  C: 'CommandComplete',
  T: 'RowDescription',
  D: 'DataRow',
  G: 'CopyInResponse',
  E: 'ErrorResponse',
  N: 'NoticeResponse',
  '1': 'ParseComplete',
  '2': 'BindComplete',
  '3': 'CloseComplete',
  n: 'NoData',
  t: 'ParameterDescription',
  I: 'EmptyQueryResponse',
}

/** What a client sends to Postgres: its first message has no type. */
export function postgresClientFrames(): Framer {
  return cutByLength({ isUntypedFirst: true, names: clientNames })
}

export function postgresServerFrames(): Framer {
  return cutByLength({ isUntypedFirst: false, names: serverNames })
}

export function httpFrames(): Framer {
  return (bytes) => {
    const [line = ''] = bytes.subarray(0, 300).toString('latin1').split('\r\n')
    const isHead = /^(GET|POST) |^HTTP\/1/.test(line)
    return [{ bytes, label: isHead ? line.replace(/ HTTP\/1\.1$/, '') : `${bytes.length} bytes of a body` }]
  }
}

interface Cutting {
  readonly isUntypedFirst: boolean
  readonly names: Readonly<Record<string, string>>
}

function cutByLength({ isUntypedFirst, names }: Cutting): Framer {
  let rest = Buffer.alloc(0)
  let isUntyped = isUntypedFirst
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    const frames: Frame[] = []
    for (;;) {
      const head = isUntyped ? 0 : 1
      if (rest.length < head + 4) return frames
      const size = head + rest.readInt32BE(head)
      if (rest.length < size) return frames
      const frame = rest.subarray(0, size)
      frames.push({ bytes: frame, label: isUntyped ? 'Startup' : labelOf(frame, names) })
      rest = rest.subarray(size)
      isUntyped = false
    }
  }
}

function labelOf(frame: Buffer, names: Cutting['names']): string {
  const type = String.fromCharCode(frame[0] ?? 0)
  const name = names[type] ?? type
  if (!['Query', 'Parse', 'CommandComplete', 'ErrorResponse'].includes(name)) return name
  const text = frame.subarray(5).toString('latin1').replaceAll('\0', ' ').replaceAll(/\s+/g, ' ').trim()
  return `${name} ${text.slice(0, 60)}`
}
