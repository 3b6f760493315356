// Owns which answers hold the count of a partition: the first one of its walk, or of a partition of many values as many as it takes to ask for each of them.
import { BackfillError } from '../domain/errors.js'
import { manyOf } from '../domain/fan-out.js'
import { fittingValues } from './many-pager.js'
import type { PageReply, PagerOptions } from './pager.js'

/** The answers, whose counts add up. `ask` sends the first request of a walk over the values of its options. @throws what `ask` throws. */
export async function countAnswers(
  options: PagerOptions,
  ask: (options: PagerOptions) => Promise<PageReply>,
): Promise<readonly PageReply[]> {
  const { stream, values, sizes } = options
  const many = manyOf(stream)
  if (many === null) return [await ask(options)]
  const name = `${stream.source}.${stream.name}`
  const replies: PageReply[] = []
  for (let at = 0; at < values.length; ) {
    const rest = values.slice(at)
    const some = rest.slice(0, fittingValues(rest, many, sizes.get(name)))
    try {
      replies.push(await ask({ ...options, values: some }))
      at += some.length
    } catch (error) {
      const { status } = error instanceof BackfillError ? error.context : {}
      if (some.length === 1 || typeof status !== 'number' || !many.shrinkOn.includes(status)) throw error
      sizes.set(name, Math.floor(some.length / 2))
    }
  }
  return replies
}
