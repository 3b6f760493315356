// Owns content encodings: gzip, deflate, br. The size limit holds while a body is unpacked, so that a small one cannot become gigabytes.
import type { IncomingHttpHeaders } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib'
import type { BackfillError } from '../domain/errors.js'
import { AnswerInvalid, SourceUnavailable } from '../domain/errors.js'
import type { WireRequest } from './request.js'

/** What a request says it can read. */
export const acceptedEncodings = 'gzip, deflate, br'

interface DecompressOptions {
  /** Method and address without secrets. */
  readonly address: string
  readonly maxBytes: number
}
type Unpack = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const gunzipAsync: Unpack = promisify(gunzip)
const inflateAsync: Unpack = promisify(inflate)
const inflateRawAsync: Unpack = promisify(inflateRaw)
const brotliAsync: Unpack = promisify(brotliDecompress)

/** The body without its content encoding. @throws SourceUnavailable where it is damaged or cut, AnswerInvalid where it is too large or unknown. */
export async function decompress(
  body: Buffer,
  headers: IncomingHttpHeaders,
  options: DecompressOptions,
): Promise<Buffer> {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity' || body.length === 0) return body
  const unpack = unpackerOf(encoding, body)
  if (unpack === null) {
    throw new AnswerInvalid(
      'unknown_encoding',
      `fetch ${options.address} found content encoding "${encoding}", which was not asked for`,
    )
  }
  try {
    return await unpack(body, { maxOutputLength: options.maxBytes })
  } catch (error) {
    throw unpackError(error, encoding, options)
  }
}

function unpackerOf(encoding: string, body: Buffer): Unpack | null {
  if (encoding === 'gzip' || encoding === 'x-gzip') return gunzipAsync
  if (encoding === 'br') return brotliAsync
  // Some servers send deflate without its zlib header.
  if (encoding === 'deflate') return ((body[0] ?? 0) & 0x0f) === 0x08 ? inflateAsync : inflateRawAsync
  return null
}

function unpackError(error: unknown, encoding: string, options: DecompressOptions): BackfillError {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(options, options.maxBytes)
  return new SourceUnavailable(
    'cut_body',
    `fetch ${options.address} found a damaged or cut ${encoding} body (${code ?? 'unreadable'})`,
  )
}

/** An answer larger than the stream allows; reading stopped there. */
export function tooLarge(request: Pick<WireRequest, 'address'>, maxBytes: number): AnswerInvalid {
  return new AnswerInvalid('too_large', `fetch ${request.address} found more than ${maxBytes} bytes in one answer`, {
    hint: 'lower "page_size", or raise "max_answer_bytes"',
    context: { max_answer_bytes: maxBytes },
  })
}
