/** Which tasks are made for what is due. */
import { expect, test } from 'vitest'
import type { DuePartition, DueReason } from '../../src/domain/follow.js'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import type { Partition } from '../../src/domain/partition.js'
import { choose } from '../../src/worker/choose.js'

const many = { fanOut: { dimension: 'user', many: { param: 'ids', join: ',', max: 3, shrinkOn: [] } } }
const single = { fanOut: { dimension: 'user', many: null } }
const due = (reason: DueReason, ...values: number[]): DuePartition[] =>
  values.map((value) => ({ partition: { user: String(value) }, reason, watermark: reason === 'new' ? null : 1000 }))
const given = { open: [] as Partition[], isFullTime: true, isParentOpen: false, room: Number.POSITIVE_INFINITY }
const users = (partitions: readonly Partition[]) => partitions.map(({ user }) => user)

test('values share a task, as many as a request takes, those without a watermark among themselves', () => {
  const choice = choose([...due('new', 1, 2, 3, 4), ...due('changed', 5, 6)], { ...given, stream: many })
  expect(users(choice.plain)).toEqual(['1,2,3', '4', '5,6'])
  expect(choice).toMatchObject({ old: [], full: [], isLeft: false, isWaiting: false })
})

test('each has its own task where a request asks for one', () => {
  expect(users(choose(due('new', 1, 2), { ...given, stream: single }).plain)).toEqual(['1', '2'])
})

test('a request that is not full waits while rows of the other stream may still come', () => {
  const choice = choose(due('new', 1, 2, 3, 4), { ...given, stream: many, isParentOpen: true })
  expect(users(choice.plain)).toEqual(['1,2,3'])
  expect(choice).toMatchObject({ isLeft: true, isWaiting: true })
})

test('what has an open task is left alone, a full walk beside the changes', () => {
  const open = [{ user: '1,2' }, fullWalkPartition({ user: '4' })]
  const choice = choose([...due('changed', 1, 2, 3, 4), ...due('full', 1, 4)], { ...given, stream: many, open })
  expect(users(choice.plain)).toEqual(['3,4'])
  expect(users(choice.full)).toEqual(['1'])
})

test('full walks are begun in their hours only', () => {
  const choice = choose(due('full', 1), { ...given, stream: many, isFullTime: false })
  expect(choice).toMatchObject({ full: [], isLeft: true, isWaiting: false })
})

test('old ones stand apart, and a run takes no more than it has room for: the most urgent', () => {
  const all = [...due('new', 1), ...due('changed', 2), ...due('old', 3, 4)]
  const whole = choose(all, { ...given, stream: single })
  expect([users(whole.plain), users(whole.old)]).toEqual([
    ['1', '2'],
    ['3', '4'],
  ])
  const narrow = choose(all, { ...given, stream: single, room: 3 })
  expect([users(narrow.plain), users(narrow.old), narrow.isLeft]).toEqual([['1', '2'], ['3'], true])
})

test('full walks do not flood the queue', () => {
  const all = due('full', ...Array.from({ length: 250 }, (_, index) => index))
  const choice = choose(all, { ...given, stream: single })
  expect([choice.full.length, choice.isLeft]).toEqual([100, true])
})
