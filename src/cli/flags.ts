/** Flags that several commands share: same flag, same meaning, same BACKFILL_* twin. Help is lower-case fragments. */
import { Args, Flags } from '@oclif/core'
import { readCount, readDuration } from '../definition/quantity.js'
import { ConfigError } from '../domain/errors.js'

export const workspaceFlag = Flags.string({
  summary: 'folder with backfill.yaml and queue.db [default: the present folder]',
  helpValue: 'DIR',
  env: 'BACKFILL_WORKSPACE',
  helpGroup: 'GLOBAL',
})

export const jsonFlag = Flags.boolean({
  summary: 'print one JSON document instead of text',
  env: 'BACKFILL_JSON',
  helpGroup: 'GLOBAL',
})

/** No twin: a selection that stays in an environment would narrow or widen every later command. */
export const partitionFlag = Flags.string({
  summary: 'only partitions with this value of a dimension; repeat for more',
  helpValue: 'name=value',
  multiple: true,
  multipleNonGreedy: true,
})

export const pageSizeFlag = Flags.custom<number>({
  summary: 'rows per request [default: by source]',
  helpValue: 'ROWS',
  env: 'BACKFILL_PAGE_SIZE',
  parse: async (text) => positive('--page-size', text),
})()

/** Old scripts had one number for two things; guessing which was meant would change how an API is asked. */
export const batchSizeFlag = Flags.custom<never>({
  hidden: true,
  parse: async () => {
    throw new ConfigError('batch_size', 'read --batch-size found two meanings', {
      hint: 'write --page-size for rows per request, --claim for tasks per claim',
    })
  },
})()

/** `SOURCE[.STREAM] …`; none means all. */
export const streamArgs = {
  'source[.stream]': Args.string({
    multiple: true,
    description: 'a source, or one stream of it; several allowed [default: all]',
  }),
}

/** `SOURCE[.STREAM] …`, at least one: what holds tasks back is never guessed. */
export const controlArgs = {
  'source[.stream]': Args.string({
    multiple: true,
    required: true,
    description: 'a source, or one stream of it; several allowed',
  }),
}

/** A whole number of at least `least`. @throws ConfigError */
export function positive(flag: string, text: string, least = 1): number {
  const value = readCount(text)
  if (value !== null && value >= least) return value
  throw new ConfigError('usage', `read ${flag} found "${text}", expected a whole number of at least ${least}`)
}

/** A whole number, a minus sign allowed. @throws ConfigError */
export function integer(flag: string, text: string): number {
  const value = /^[+-]?\d{1,9}$/.test(text) ? Number(text) : null
  if (value !== null) return value
  throw new ConfigError('usage', `read ${flag} found "${text}", expected a whole number`)
}

/** A duration in ms. @throws ConfigError */
export function durationMs(flag: string, text: string): number {
  const value = readDuration(text)
  if (value !== null && value > 0) return value
  throw new ConfigError('usage', `read ${flag} found "${text}", expected a duration`, {
    hint: 'write it like 90s, 30m or 4h',
  })
}
