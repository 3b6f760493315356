// Owns the shape of backfill.yaml. Keys that a source's entry has beside the known ones are its own configuration, for dimensions and templates.
import { z } from 'zod'
import { auth } from './auth-schema.js'
import { aliases, day, duration, lastDay, listOf, scalar, templates, valueList, words } from './schema-parts.js'
import { settingBounds } from './settings.js'
import { budget, optionalSettings, sourceSettingsShape } from './settings-schema.js'
import { streamChangesShape, streamOverrides } from './source-schema.js'

const configExpected = 'a plain value, or a list of them'
const configValue = z.union([scalar, listOf(scalar, configExpected)], { error: configExpected })

const dimensionOverride = z.strictObject(
  {
    exclude: valueList.optional(),
    aliases: aliases.optional(),
    from: day.optional(),
    to: lastDay.optional(),
    only: valueList.optional(),
  },
  { error: '{ exclude: […], aliases: {…} }, from and to where it has dates, only where it has rows' },
)

const streamOverride = z.strictObject(
  { ...streamOverrides, ...streamChangesShape, ...optionalSettings },
  { error: 'settings of the stream, like { page_size: 50 }' },
)

/** Keys of a source's entry that are no configuration of its own. */
export const sourceOverrideShape = {
  baseUrl: words('an address like https://api.example.com/v1').optional(),
  headers: templates.optional(),
  auth: auth.optional(),
  budget: budget.optional(),
  dimensions: z.record(z.string(), dimensionOverride, { error: 'dimension names with what to change' }).optional(),
  streams: z.record(z.string(), streamOverride, { error: 'stream names with their settings' }).optional(),
  ...sourceSettingsShape,
  ...optionalSettings,
}
const sourceOverride = z
  .object(sourceOverrideShape, { error: 'settings of the source, or nothing' })
  .catchall(configValue)
  .nullable()

const levels = ['debug', 'info', 'warn', 'error', 'DEBUG', 'INFO', 'WARN', 'ERROR'] as const
const logLevel = z
  .enum(levels, { error: 'one of debug, info, warn, error' })
  .transform((level) => level.toLowerCase() as Lowercase<typeof level>)

export const workspaceSchema = z.strictObject(
  {
    database: words('embedded, $NAME of a variable, or an address like postgres://host/name').optional(),
    schema: words('the name of a schema').optional(),
    deltaPrefix: words('a prefix like delta_').optional(),
    timezone: words('a zone like Europe/Berlin').optional(),
    logLevel: logLevel.optional(),
    transactions: z.literal(true, { error: 'true (a flush is always promoted in one transaction)' }).optional(),
    metrics: z
      .strictObject(
        {
          enabled: z.boolean({ error: 'true or false' }).optional(),
          interval: duration(...settingBounds.metricsInterval).optional(),
        },
        { error: '{ enabled: true, interval: 5m }' },
      )
      .optional(),
    maxRuntime: duration(...settingBounds.maxRuntime).optional(),
    defaults: z
      .strictObject(
        { ...sourceSettingsShape, ...optionalSettings },
        { error: 'settings for all sources, like { attempts: 3 }' },
      )
      .optional(),
    sources: z
      .record(z.string(), sourceOverride, { error: 'the sources in use, like { acme: { page_size: 100 } }' })
      .nullable()
      .optional(),
  },
  { error: 'settings like "database: embedded"' },
)

export type WorkspaceDraft = z.output<typeof workspaceSchema>
export type SourceOverride = NonNullable<z.output<typeof sourceOverride>>
