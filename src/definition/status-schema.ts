// Owns the shape of `statuses`: the fate of a status, or rules that tell its answers apart.
import { z } from 'zod'
import type { StatusFate, StatusRule } from '../domain/source-model.js'
import { fate, listOf, words } from './schema-parts.js'

const ruleExpected = '{ content_type: text/html, fate: retry }, { empty: true, fate: dead }, or a fate for the rest'
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
          contains: words('text that the header holds').optional(),
          fate,
        },
        { error: ruleExpected },
      )
      .refine(({ header, contains }) => header !== undefined || contains === undefined, {
        error: 'header, whose text it is about',
        path: ['contains'],
      })
      .transform(
        ({ contentType, empty, header, contains, fate: becomes }): StatusRule => ({
          ...(contentType === undefined ? {} : { contentType: contentType.toLowerCase() }),
          ...(empty === undefined ? {} : { isEmpty: empty }),
          ...(header === undefined ? {} : { header: { name: header.toLowerCase(), contains: contains ?? null } }),
          fate: becomes,
        }),
      ),
  ],
  { error: ruleExpected },
)

const fatesExpected = 'retry, dead, budget, or a list like [{ content_type: text/html, fate: retry }, dead]'
const fates: z.ZodType<StatusFate, z.input<typeof fate> | z.input<typeof rule>[]> = z.union(
  [fate, listOf(rule, fatesExpected).min(1, { error: fatesExpected })],
  { error: fatesExpected },
)

/** Statuses with their fates. */
export const statusFates = z.record(z.string().regex(/^[1-5]\d\d$/, { error: 'a status from 100 to 599' }), fates, {
  error: 'statuses with their fate, like { 404: retry }',
})
