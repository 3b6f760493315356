// Owns the shape of `statuses`: the fate of a status, or rules that tell its answers apart.
import { z } from 'zod'
import type { StatusFate, StatusRule } from '../domain/source-model.js'
import { duration, json, listOf, oneOf, path, words } from './schema-parts.js'

/** What becomes of a task whose request got such a status. */
const fate = oneOf(['retry', 'dead', 'budget', 'credentials'])
const ruleExpected =
  '{ content_type: text/html, fate: retry }, { path: error.code, contains: quota, fate: budget, wait: 1h }, or a fate for the rest'
const rule = z.union(
  [
    fate.transform((one): StatusRule => ({ fate: one })),
    z
      .strictObject(
        {
          contentType: z
            .string({ error: 'a media type like text/html' })
            .regex(/^[\w.+-]+\/([\w.+-]+|\*)$/, { error: 'a media type like text/html, without parameters' })
            .optional(),
          empty: z.boolean({ error: 'true or false' }).optional(),
          header: words('the name of a header').optional(),
          path: path.optional(),
          equals: json.optional(),
          contains: words('text that the header, or the place of the body, holds').optional(),
          wait: duration(1000, 86_400_000).optional(),
          fate,
        },
        { error: ruleExpected },
      )
      .refine(
        ({ header, path: place, contains }) => header !== undefined || place !== undefined || contains === undefined,
        {
          error: 'header or path, whose text it is about',
          path: ['contains'],
        },
      )
      .refine(({ path: place, equals }) => place !== undefined || equals === undefined, {
        error: 'path, whose value it is about',
        path: ['equals'],
      })
      .refine(({ header, path: place }) => header === undefined || place === undefined, {
        error: 'header or path, not both',
        path: ['path'],
      })
      .refine(({ wait, fate: becomes }) => wait === undefined || becomes === 'budget', {
        error: 'fate: budget, which is what waits',
        path: ['wait'],
      })
      .transform(
        ({ contentType, empty, header, path: place, equals, contains, wait, fate: becomes }): StatusRule => ({
          ...(contentType === undefined ? {} : { contentType: contentType.toLowerCase() }),
          ...(empty === undefined ? {} : { isEmpty: empty }),
          ...(header === undefined ? {} : { header: { name: header.toLowerCase(), contains: contains ?? null } }),
          ...(place === undefined ? {} : { body: { path: place, equals: equals ?? null, contains: contains ?? null } }),
          ...(wait === undefined ? {} : { waitMs: wait }),
          fate: becomes,
        }),
      ),
  ],
  { error: ruleExpected },
)

const fatesExpected =
  'retry, dead, budget, credentials, or a list like [{ content_type: text/html, fate: retry }, dead]'
const fates: z.ZodType<StatusFate, z.input<typeof fate> | z.input<typeof rule>[]> = z.union(
  [fate, listOf(rule, fatesExpected).min(1, { error: fatesExpected })],
  { error: fatesExpected },
)

/** Statuses with their fates. */
export const statusFates = z.record(z.string().regex(/^[1-5]\d\d$/, { error: 'a status from 100 to 599' }), fates, {
  error: 'statuses with their fate, like { 404: retry }',
})
