/**
 * A plan of what comes round that was cut off by a kill: its tasks are in the queue, its end is not. What it left must not be taken for done when the same partitions
 * are due again. The kill's mark is made in the file, because between the two writes lies less than a millisecond.
 */
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type RowsApi, startRowsApi } from '../support/rows-api.js'

let api: RowsApi
let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const yaml = (url: string): string =>
  [
    'source: acme',
    `base_url: ${url}`,
    'budget: { delay: 0s, concurrency: 1 }',
    'paginate: { page: page, size: size, max: 10, total: header X-Total }',
    'streams:',
    '  owners: { path: /owners, key: id, every: 1s, columns: { id: bigint } }',
    '  things:',
    '    path: /things',
    '    key: id',
    '    every: 1s',
    '    columns: { id: bigint, owner_id: bigint }',
    '    for_each: { owner_id: { from: owners.id, many: { param: owners, max: 100 } } }',
    '    match: { owner_id: owner_id }',
  ].join('\n')

/** As a kill leaves it that comes after the tasks of every round so far, and before the word that they are all there. */
function cutOff(): number {
  const queue = new Sqlite(join(workspace.directory, 'queue.db'))
  try {
    return queue.prepare(`update backfill set planned_at = null where reason = 'every'`).run().changes
  } finally {
    queue.close()
  }
}
async function round(stream: string): Promise<readonly string[]> {
  await new Promise((resolve) => setTimeout(resolve, 1100))
  api.requests.length = 0
  expect(await workspace.run('worker', stream)).toMatchObject({ code: 0, stderr: '' })
  return [...api.requests]
}

it.each(['acme.owners', 'acme.things'])('%s comes round all the same', { timeout: 60_000 }, async (stream) => {
  api = await startRowsApi({ owners: [{ id: 1 }, { id: 2 }], things: [{ id: 10, owner_id: 1 }] })
  workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url) })
  await workspace.run('seed')
  expect((await workspace.run('worker', '--until-empty')).code).toBe(0)
  const table = stream.split('.')[1] ?? ''
  expect(await round(stream)).toEqual([`${table} 1`])
  expect(cutOff()).toBeGreaterThan(0)
  expect(await round(stream)).toEqual([`${table} 1`])
  expect(await round(stream)).toEqual([`${table} 1`])
})
