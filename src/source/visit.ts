// Owns asking for one partition: its requests built, sent, and read as pages or as counts. Knows nothing of the order of pages.
import { createHash } from 'node:crypto'
import { AnswerInvalid, type BackfillError, PositionForgotten, SourceUnavailable } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { KeyText, QuestionStart, SourceCount } from '../domain/ports.js'
import type {
  AnswerShape,
  ConfirmRequest,
  CountRule,
  EndError,
  Extract,
  RequestShape,
  Stream,
} from '../domain/source-model.js'
import { expandTemplate, parseTemplate } from '../domain/template.js'
import { type Belonging, belongingOf, pathOfColumn, refuseStrangers } from './belonging.js'
import type { CredentialKeeper } from './credential-keeper.js'
import type { Credentials } from './credentials.js'
import type { Decoded, DecodeOptions } from './decode.js'
import { decode, tryJson } from './decode.js'
import { acceptedEncodings } from './decompress.js'
import { cleanLine, isHtml } from './excerpt.js'
import type { Caller, ExchangeDependencies } from './exchange.js'
import { answerError, exchange } from './exchange.js'
import { isOutside, readInnerJson } from './inner-json.js'
import { writeMany } from './many-pager.js'
import { totalOf, usedSizeOf } from './numbered-pager.js'
import { type PageReply, sizeParams } from './pager.js'
import type { RequestParts, Step } from './request.js'
import { buildRequest, firstStep, originOf } from './request.js'
import { countBy, errorInside, extract, isSameJson, pathText, type Reply, recordsOf, rowsOf, textOf } from './rows.js'
import { secretsOf } from './secrets.js'
import { goesOn } from './token-pager.js'
import type { WireAnswer } from './transport.js'
import type { Asking } from './walk.js'

export type PartitionStart = QuestionStart
export interface VisitOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly userAgent: string
  readonly keeper: CredentialKeeper
  readonly dependencies: ExchangeDependencies
}
/** Everything that requests for one partition share. */
export interface Visit {
  /** A request of the stream's own, read as a page. */
  readonly askPage: (step: Step, asking: Asking) => Promise<PageReply>
  /** A request that only a count is read from; null where its answer holds none. */
  readonly askCount: (rule: CountRule, shape: RequestShape, asking: Asking) => Promise<SourceCount | null>
  /** Which rows the source says are gone; null: its answer may be cut short, and proves nothing of those it does not list. An answer that is neither a good one nor one of the declared statuses is thrown. */
  readonly askGone: (
    confirm: ConfirmRequest,
    keys: readonly KeyText[],
    asking: Asking,
  ) => Promise<readonly boolean[] | null>
  readonly parts: RequestParts
}

/** @throws ConfigError where the definition's templates cannot be read. */
export function createVisit(start: PartitionStart, options: VisitOptions): Visit {
  const { parts, credentials } = partsOf(start, options)
  const belonging = belongingOf(start)
  const callerOf = <T>(
    asking: Asking,
    readers: Pick<Caller<T>, 'read' | 'readError'>,
    shape = parts.shape,
  ): Caller<T> => {
    const { source, stream, purpose, deadlineAt, maxWaitMs, priority = 0 } = start
    const { signal, onRequest } = asking
    const { secrets } = parts
    const weight = shape.weight ?? stream.settings.weight ?? 1
    const costs = { deadlineAt, maxWaitMs, priority, weight }
    return { source, stream, purpose, ...costs, signal, onRequest, secrets, credentials, ...readers }
  }
  return {
    parts,
    askPage: async (step, asking) => {
      const request = buildRequest(parts, step)
      const expected = expectationsAt(parts, start.stream, step.cursor)
      const reading = {
        ...{ stream: start.stream, address: request.address, clean: parts.secrets.clean, expected },
        isFirst: asking.isFirst,
        belonging,
        askedAt: options.dependencies.clock.now(),
      }
      const readers = {
        // No content is no error, and may be all that an empty first page says.
        read: (answer: WireAnswer) => {
          refuseForgotten(answer, reading)
          return (answer.status === 204 ? readPastEnd(answer, reading) : null) ?? readPage(answer, reading)
        },
        readError: (answer: WireAnswer) => {
          refuseForgotten(answer, reading)
          return asking.isFirst ? readNothing(answer, reading) : readPastEnd(answer, reading)
        },
      }
      const { onRepeat } = asking
      const caller = { ...callerOf(asking, readers, step.next?.shape), surfaces: step.surfaces ?? [], onRepeat }
      return await exchange(request, caller, options.dependencies)
    },
    askCount: async (rule, shape, asking) => {
      const request = buildRequest({ ...parts, shape }, firstStep)
      const reading = { stream: start.stream, address: request.address, clean: parts.secrets.clean, expected: [] }
      const readers = { read: (answer: WireAnswer) => readCount(answer, rule, reading), readError: () => null }
      return await exchange(request, callerOf(asking, readers, shape), options.dependencies)
    },
    askGone: async ({ request: shape, gone, many }, keys, asking) => {
      const [first = {}] = keys
      // The key's columns stand beside the dimensions; where both have a name, they hold the same value.
      const scope = { ...parts.scope, partition: { ...parts.scope.partition, ...first } }
      const { pagination } = start.stream
      const step =
        many === null
          ? firstStep
          : askAll(many, keys, pagination.kind === 'none' ? {} : sizeParams(pagination, start.stream))
      const request = buildRequest({ ...parts, shape, scope }, step)
      const reading = { stream: start.stream, address: request.address, clean: parts.secrets.clean, expected: [] }
      const readers = {
        read: (answer: WireAnswer) => {
          const decoded = decode(answer, { shape: { ...start.stream.answer, format: 'json' }, ...reading })
          refuseErrorInside(decoded, reading)
          if (many === null) return keys.map(() => false)
          const rows = rowsOf(decoded, { shape: start.stream.answer, address: request.address })
          const listed = { headers: answer.headers, root: decoded.root, rows, address: request.address }
          return isWholeList(listed, start.stream) ? goneIn(rows, keys, start.stream) : null
        },
        readError: (answer: WireAnswer) => (gone.includes(answer.status) ? keys.map(() => true) : null),
      }
      const caller = { ...callerOf<readonly boolean[] | null>(asking, readers, shape), surfaces: asking.surfaces ?? [] }
      return await exchange(request, caller, options.dependencies)
    },
  }
}

function partsOf(
  { source, stream, partition }: PartitionStart,
  { environment, userAgent, keeper }: VisitOptions,
): { readonly parts: RequestParts; readonly credentials: Credentials | undefined } {
  const scope = { partition, dimensions: source.dimensions, config: source.config, environment }
  const spoken = () => keeper.spoken(source.name)
  const parts = {
    source,
    shape: stream.request,
    scope,
    secrets: secretsOf(source, stream, { environment, spoken }),
    defaults: { 'user-agent': userAgent, accept: accepted[stream.answer.format], 'accept-encoding': acceptedEncodings },
  }
  return { parts, credentials: keeper.of(source, { scope, origin: () => originOf(parts) }) }
}

const accepted: Record<AnswerShape['format'], string> = {
  json: 'application/json',
  ndjson: 'application/x-ndjson, application/json;q=0.9, text/plain;q=0.5',
  csv: 'text/csv, */*;q=0.5',
}

function askAll(
  many: NonNullable<ConfirmRequest['many']>,
  keys: readonly KeyText[],
  size: Readonly<Record<string, number>>,
): Step {
  return {
    ...firstStep,
    params: {
      ...size,
      [many.param]: writeMany(
        many,
        keys.flatMap((key) => Object.values(key)),
      ),
    },
  }
}

/** True where nothing can stand on a further page: a row that such a list lacks is gone. */
function isWholeList(
  reply: Reply & { readonly rows: readonly Json[]; readonly address: string },
  stream: Stream,
): boolean {
  const { pagination } = stream
  if (pagination.kind === 'none') return true
  if (pagination.kind !== 'page' && pagination.kind !== 'offset') {
    // Such sources send short pages in the middle, too.
    if (goesOn(pagination, reply) === true) return false
    return stream.settings.pageSize !== null && reply.rows.length < stream.settings.pageSize
  }
  const total = totalOf(reply, { pagination, stream })
  if (total !== null) return reply.rows.length >= total
  const size = usedSizeOf(reply, { pagination, stream })
  return size !== null && reply.rows.length < size
}

/** Which of the keys an answer does not list. One that lists a row that was not asked for shows that the source did not obey. */
function goneIn(rows: readonly Json[], keys: readonly KeyText[], stream: Stream): readonly boolean[] {
  const [name = ''] = stream.key
  const path = pathOfColumn(stream, name)
  const listed = new Set(rows.map((row) => textOf(valueAt(row, path))))
  const asked = keys.map((key) => key[name] ?? '')
  const stranger = [...listed].find((value) => !asked.includes(value))
  if (stranger === undefined) return asked.map((value) => !listed.has(value))
  throw new AnswerInvalid(
    'foreign_rows',
    `ask ${stream.source}.${stream.name} for ${asked.length} rows found "${stranger}", which was not asked for`,
    { hint: 'the source seems to ignore the parameter of "confirm"' },
  )
}

/** What reading an answer needs of its request. */
interface Reading {
  readonly stream: Stream
  /** Method and address without secrets. */
  readonly address: string
  readonly clean: (text: string) => string
  readonly expected: readonly Expected[]
}
interface PageReading extends Reading {
  readonly belonging: readonly Belonging[]
  readonly isFirst: boolean
  /** When it was asked, Unix ms. */
  readonly askedAt: number
}
/** What the answer to one request must say of itself. */
interface Expected {
  readonly from: Extract
  /** Any of these. */
  readonly texts: readonly string[]
  readonly otherwise: 'empty' | null
}

function expectationsAt(parts: RequestParts, stream: Stream, cursor: string | null): readonly Expected[] {
  return stream.answer.expect
    .filter(({ is }) => cursor !== null || !parseTemplate(is).some(({ kind }) => kind === 'cursor'))
    .map(({ from, is, or = [], otherwise = null }) => ({
      from,
      texts: [is, ...or].map((template) => expandTemplate(template, { ...parts.scope, cursor })),
      otherwise,
    }))
}

/** @throws SourceUnavailable: what answered may be a cache or a neighbour's mistake, and another try may get the right answer. */
function refuseOther({ headers, root }: Reply, expected: readonly Expected[], reading: Reading): void {
  for (const { from, texts } of expected) {
    const found = textOf(extract({ headers, root }, from))
    if (texts.includes(found)) continue
    const place = 'header' in from ? `header ${from.header}` : pathText(from.path)
    const fact = found === '' ? 'nothing' : `"${cleanLine(reading.clean(found))}"`
    throw new SourceUnavailable(
      'other_answer',
      `read ${reading.address} found ${fact} at ${place}, expected ${texts.map((text) => `"${text}"`).join(' or ')}`,
      {
        hint: 'the source answered something else than it was asked; where its words only differ, correct "expect" of the answer',
      },
    )
  }
}

function readPage(answer: WireAnswer, reading: PageReading): PageReply {
  const { stream, address } = reading
  const decodeAgain = () => {
    const plain = decode(answer, { shape: stream.answer, ...reading })
    const { parse } = stream.answer
    return parse === undefined
      ? { ...plain, failure: null }
      : { ...plain, ...readInnerJson(plain.root, parse, address) }
  }
  const decoded = decodeAgain()
  refuseErrorInside(decoded, reading)
  const reply = { headers: answer.headers, root: decoded.root }
  if (reading.isFirst && saysNothing(reply, reading.expected)) return nothingOf(answer, reading)
  if (decoded.failure !== null) {
    // Why a text was cut may stand beside it.
    refuseOther(
      reply,
      reading.expected.filter(({ from }) => isBeside(from, stream.answer)),
      reading,
    )
    throw decoded.failure
  }
  refuseOther(reply, reading.expected, reading)
  const options = { shape: stream.answer, address }
  const rowsIn = (from: Decoded) => rowsOf(from, options)
  const rows = rowsIn(decoded)
  const records = recordsOf(rows, options)
  refuseStrangers(records, reading)
  return {
    ...replyOf(answer, reading),
    root: decoded.root,
    rows,
    records,
    reread: () => recordsOf(rowsIn(decodeAgain()), options),
    isPastEnd: false,
  }
}

function isBeside(from: Extract, { parse = [] }: AnswerShape): boolean {
  return 'header' in from || isOutside(from.path, parse)
}

/** The answer is somebody else's, which the definition takes for the source's way to say that it has none for this partition. */
function saysNothing(reply: Reply, expected: readonly Expected[]): boolean {
  return expected.some(({ from, texts, otherwise }) => {
    const found = otherwise === null ? '' : textOf(extract(reply, from))
    // A place that is missing is another answer altogether.
    return found !== '' && !texts.includes(found)
  })
}

function nothingOf(answer: WireAnswer, reading: PageReading): PageReply {
  return { ...replyOf(answer, reading), root: undefined, rows: [], records: [], reread: () => [], isPastEnd: true }
}

function replyOf(
  answer: WireAnswer,
  { address, askedAt }: PageReading,
): Omit<PageReply, 'rows' | 'records' | 'reread' | 'root' | 'isPastEnd'> {
  const { headers, url, body } = answer
  const hashBody = () => createHash('sha256').update(body).digest('base64url')
  const date = headers.date === undefined ? Number.NaN : Date.parse(headers.date)
  // The earlier of two clocks: a change that one of them dates before the walk is asked for again rather than lost.
  const servedAt = Number.isNaN(date) ? askedAt : Math.min(date, askedAt)
  return { headers, url, address, bytes: body.length, hashBody, servedAt }
}

function readCount(answer: WireAnswer, rule: CountRule, reading: Reading): SourceCount | null {
  const { headers } = answer
  if ('header' in rule.from) return countBy({ headers, root: undefined }, rule)
  const shape: DecodeOptions['shape'] = { ...reading.stream.answer, format: 'json' }
  const decoded = decode(answer, { shape, ...reading })
  refuseErrorInside(decoded, reading)
  return countBy({ headers, root: decoded.root }, rule)
}

/** @throws the error that the definition sees in an answer with a good status. */
function refuseErrorInside({ root, lines }: Decoded, { stream, address, clean }: Reading): void {
  const { errors } = stream.answer
  if (errors.length === 0) return
  // Where each line is an answer of its own, any of them may be the error.
  const found = errorInside(root, errors) ?? firstError(lines ?? [], errors)
  if (found === null) return
  const message = `read ${address} found an error inside a good answer: "${cleanLine(clean(found.message))}"`
  const error: BackfillError = answerError(found.rule.fate, message)
  throw error
}

function firstError(lines: readonly Json[], errors: AnswerShape['errors']): ReturnType<typeof errorInside> {
  for (const line of lines) {
    const found = errorInside(line, errors)
    if (found !== null) return found
  }
  return null
}

function readPastEnd(answer: WireAnswer, reading: PageReading): PageReply | null {
  const { pagination } = reading.stream
  if (pagination.kind === 'none') return null
  const rules = (pagination.end?.errors ?? []).filter((rule) => rule.status === answer.status)
  if (rules.length === 0) return null
  const root = tryJson(answer.body)
  if (!rules.some((rule) => isEndError(rule, root))) return null
  return nothingOf(answer, reading)
}

/** @throws PositionForgotten where the answer to a later page says that its position is not known any more. */
function refuseForgotten(answer: WireAnswer, { isFirst, stream: { pagination }, address }: PageReading): void {
  if (isFirst || !('expired' in pagination)) return
  const rules = pagination.expired.filter(({ status }) => status === answer.status)
  if (rules.length === 0) return
  const root = tryJson(answer.body)
  if (!rules.some((rule) => isEndError(rule, root))) return
  throw new PositionForgotten(
    `read ${address} found status ${answer.status}, which means that the source has forgotten where the walk stood`,
  )
}

/** An error of the first request that means "there is nothing"; null where it is an error. A page of HTML is somebody else's. */
function readNothing(answer: WireAnswer, reading: PageReading): PageReply | null {
  const rules = (reading.stream.answer.emptyOn ?? []).filter((rule) => rule.status === answer.status)
  if (rules.length === 0 || isHtml(answer.body.subarray(0, 256).toString('latin1'))) return null
  const root = tryJson(answer.body)
  return rules.some((rule) => isEndError(rule, root)) ? nothingOf(answer, reading) : null
}

function isEndError(rule: EndError, root: Json | undefined): boolean {
  if (rule.path === null) return true
  const value = valueAt(root, rule.path)
  return value !== undefined && (rule.equals === null || isSameJson(value, rule.equals))
}
