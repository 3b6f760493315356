/** What flags change in the loaded definitions. The workspace itself stays as it was loaded. Pure. */
import type { SelectedStream } from '../domain/selection.js'
import type { StreamSettings } from '../domain/source-model.js'

/** The streams with other settings: `--page-size` is rows per request, `--claim` tasks per claim; undefined leaves a setting alone. */
export function withSettings(
  streams: readonly SelectedStream[],
  flags: { readonly pageSize?: number | undefined; readonly claim?: number | undefined },
): readonly SelectedStream[] {
  const changes: Partial<StreamSettings> = {
    ...(flags.pageSize === undefined ? {} : { pageSize: flags.pageSize }),
    ...(flags.claim === undefined ? {} : { claim: flags.claim }),
  }
  if (Object.keys(changes).length === 0) return streams
  return streams.map(({ source, stream }) => ({
    source,
    stream: { ...stream, settings: { ...stream.settings, ...changes } },
  }))
}
