/** Which dead tasks end because the rows that they were made for went: never one that waits for an operator's word. */
import { expect, test } from 'vitest'
import type { Task } from '../../src/domain/task.js'
import { cancelGone } from '../../src/worker/gone-tasks.js'
import { finishedTask } from '../support/finished-task.js'
import { makeSource, makeStream } from '../support/stream.js'

const many = { param: 'ids', join: ',', max: 3, shrinkOn: [] }
const stream = makeStream({ dimensions: ['user'], fanOut: { dimension: 'user', many } })
const table = { schema: 'public', name: 'users' }
const rows = { kind: 'rows', stream: 'users', table, column: 'id', changed: null, where: {}, only: [] } as const
const user = { ...rows, exclude: [], aliases: {} }
const source = { ...makeSource([stream]), dimensions: { user } }

const dead = (id: string, code: string, users: string): Task => ({
  ...finishedTask,
  id,
  state: 'dead',
  partition: { user: users },
  code,
  message: 'why',
  proof: null,
})

async function cancelled(tasks: readonly Task[], gone: readonly string[]): Promise<readonly string[]> {
  const dismissed: string[] = []
  await cancelGone(
    { source, stream },
    {
      queue: {
        tasks: async () => tasks,
        dismiss: async ({ tasks: ids }) => {
          dismissed.push(...(ids ?? []))
          return tasks.filter(({ id }) => ids?.includes(id))
        },
      },
      destination: { gone: async (_, __, values) => values.filter((value) => gone.includes(value)) },
      log: () => undefined,
    },
  )
  return dismissed
}

test('of many values all must have gone', async () => {
  const tasks = [dead('one', 'http_404', '1'), dead('both', 'http_404', '1,2'), dead('half', 'http_404', '2,3')]
  expect(await cancelled(tasks, ['1', '2'])).toEqual(['one', 'both'])
  expect(await cancelled(tasks, [])).toEqual([])
})

test('one that asks whether rows may go still waits for its answer', async () => {
  const tasks = [dead('a', 'prune_too_many', '1'), dead('b', 'prune_empty', '1'), dead('c', 'unknown_partition', '1')]
  expect(await cancelled(tasks, ['1'])).toEqual(['c'])
})
