/** A queue that is found at another place than it was used at last: moved, or one of two. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, QueueUnavailable } from '../../src/domain/errors.js'
import { type OpenQueue, openQueue, type QueueOptions } from '../../src/queue/queue.js'
import { createFakeClock } from '../support/fake-clock.js'
import { fastFolder } from '../support/fast-folder.js'
import { writeExampleQueue } from './example.js'

const clock = createFakeClock()
let root: string
let first: string
let second: string

const open = (file: string, more: Partial<QueueOptions> = {}): OpenQueue =>
  openQueue({ file, mode: 'write', clock, timezone: 'UTC', ...more })
/** Opens it, closes it, and answers where it was before. */
const visit = (file: string, more: Partial<QueueOptions> = {}): string | null => {
  const queue = open(file, more)
  queue.close()
  return queue.movedFrom
}
const refusal = (file: string): unknown => {
  try {
    visit(file)
  } catch (error) {
    return error
  }
  throw new Error('it was opened')
}
const copy = (from: string, to: string): void => {
  cpSync(dirname(from), dirname(to), { recursive: true })
}

beforeEach(async () => {
  root = fastFolder('backfill-place-')
  first = join(root, 'first', 'queue.db')
  second = join(root, 'second', 'queue.db')
  mkdirSync(dirname(first))
  const queue = open(first, { mode: 'create' })
  await queue.bindDatabase('database')
  queue.close()
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('a copied queue', () => {
  test('that fills no database yet is one of its own, and no database takes both', async () => {
    rmSync(dirname(first), { recursive: true })
    mkdirSync(dirname(first))
    const queue = open(first, { mode: 'create' })
    queue.close()
    copy(first, second)
    const copied = open(second)
    copied.close()
    expect(copied).toMatchObject({ movedFrom: first })
    expect(copied.id).not.toBe(queue.id)
    const again = [open(first), open(second)]
    for (const one of again) one.close()
    expect(again).toMatchObject([
      { id: queue.id, movedFrom: null },
      { id: copied.id, movedFrom: null },
    ])
  })

  test('is refused by every way to write as long as the original is there, and the original goes on', () => {
    copy(first, second)
    for (const mode of ['write', 'create'] as const) {
      expect(() => visit(second, { mode })).toThrow(
        `use "${second}" found the same queue at "${first}", where it was used last: each would spend the whole budget`,
      )
    }
    expect(refusal(second)).toBeInstanceOf(ConfigError)
    expect(refusal(second)).toMatchObject({
      code: 'copied_queue',
      hint: expect.stringMatching(/^go on there; .*remove that one.*"backfill init --adopt" here/) as string,
      context: { place: first, here: second },
    })
    expect(visit(first)).toBeNull()
    // Looking is free.
    expect(visit(second, { mode: 'read' })).toBeNull()
    expect(refusal(second)).toMatchObject({ code: 'copied_queue' })
  })

  test('is refused while a worker has the original open', async () => {
    const queue = open(first)
    await queue.setLastRunId('run')
    copy(first, second)
    expect(refusal(second)).toMatchObject({ code: 'copied_queue' })
    queue.close()
  })

  test('may go on once the original is removed, and is then at home here', () => {
    copy(first, second)
    rmSync(first)
    expect(visit(second)).toBe(first)
    expect(visit(second)).toBeNull()
    copyFileSync(second, first)
    expect(refusal(first)).toMatchObject({ code: 'copied_queue', context: { place: second } })
  })

  test('that takes over is another queue from then on', async () => {
    copy(first, second)
    const queue = open(second, { mode: 'create', ignorePlace: true })
    const before = queue.id
    await queue.takeOver('another')
    queue.close()
    expect(visit(second)).toBeNull()
    const taken = open(second)
    expect(taken.id).toBe('another')
    taken.close()
    const original = open(first)
    expect(original.id).toBe(before)
    original.close()
  })

  test.each(['a hard link', 'a symbolic link'])('is also one file by %s in two folders, each with a lock', (how) => {
    mkdirSync(dirname(second))
    if (how === 'a hard link') linkSync(first, second)
    else symlinkSync(first, second)
    expect(refusal(second)).toMatchObject({ code: 'copied_queue', context: { place: first, here: second } })
    expect(visit(first)).toBeNull()
  })

  test('of a queue that is locked is asked about again: a failure that passes', () => {
    copy(first, second)
    const rival = new Database(first)
    rival.pragma('locking_mode = exclusive')
    rival.exec('begin exclusive')
    expect(refusal(second)).toBeInstanceOf(QueueUnavailable)
    rival.close()
    expect(refusal(second)).toMatchObject({ code: 'copied_queue' })
  })
})

describe('a moved queue', () => {
  test('is at home where it is, and says where it was', () => {
    renameSync(dirname(first), dirname(second))
    expect(visit(second, { mode: 'read' })).toBeNull()
    expect(visit(second)).toBe(first)
    expect(visit(second)).toBeNull()
  })

  test('leaves a link behind: both paths lead to one folder', () => {
    renameSync(dirname(first), dirname(second))
    symlinkSync(dirname(second), dirname(first))
    expect(visit(first)).toBeNull()
    expect(visit(second)).toBeNull()
  })

  test.each<readonly [string, (file: string) => void]>([
    ['nothing', () => {}],
    ['an empty file', (file) => writeFileSync(file, '')],
    ['a folder', (file) => mkdirSync(file)],
    ['something that is no queue', (file) => writeFileSync(file, 'longer than a header is, and no queue'.repeat(9))],
    ["another program's database", (file) => new Database(file).exec('create table t (a)').close()],
    ['a queue that was never used', (file) => writeExampleQueue(file)],
    ['a queue of its own', (file) => void visit(file, { mode: 'create' })],
  ])('finds %s where it was', (_, leave) => {
    copy(first, second)
    rmSync(first)
    leave(first)
    expect(visit(second)).toBe(first)
  })

  test('finds a damaged one where it was, or a file instead of its folder', () => {
    copy(first, second)
    writeFileSync(first, Buffer.alloc(8192, 0x5a), { flag: 'r+' })
    expect(visit(second)).toBe(first)
    const third = join(root, 'third', 'queue.db')
    renameSync(dirname(second), dirname(third))
    writeFileSync(dirname(second), '')
    expect(visit(third)).toBe(second)
  })

  test('that was put back over itself is where it was', () => {
    copy(first, second)
    rmSync(first)
    renameSync(second, first)
    expect(visit(first)).toBeNull()
  })

  test('of an earlier version, which knows no place, is at home where it is opened first', () => {
    copy(first, second)
    for (const file of [first, second]) {
      const db = new Database(file)
      db.exec(`delete from meta where name = 'place'`)
      db.close()
    }
    expect(visit(second)).toBeNull()
    expect(visit(first)).toBeNull()
  })

  test('is known by its real path', () => {
    const link = join(root, 'link')
    symlinkSync(dirname(first), link)
    expect(visit(join(link, 'queue.db'))).toBeNull()
    const db = new Database(first, { readonly: true })
    expect(db.prepare(`select value from meta where name = 'place'`).pluck().get()).toBe(realpathSync(first))
    db.close()
  })
})

describe.runIf(process.getuid?.() === 0)('a place that this user may not look into', () => {
  /** As the user nobody, in this process; whatever happens, as root again. */
  const asNobody = <T>(action: () => T): T => {
    process.setegid?.(65_534)
    process.seteuid?.(65_534)
    try {
      return action()
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }

  test.each(['its folder', 'the file'])('is taken for one with a queue in it: %s is closed', (what) => {
    copy(first, second)
    chmodSync(root, 0o755)
    chmodSync(dirname(first), what === 'its folder' ? 0o700 : 0o755)
    chmodSync(first, 0o600)
    // Root's own, or it would be another user's: getuid() stays root's here.
    chmodSync(dirname(second), 0o777)
    chmodSync(second, 0o666)
    const refused = asNobody(() => refusal(second))
    expect(refused).toMatchObject({
      code: 'copied_queue',
      message: expect.stringContaining(`"${first}", where it was used last, cannot be looked at`) as string,
      hint: expect.stringContaining('backfill init --adopt') as string,
    })
    expect(existsSync(`${first}-wal`)).toBe(false)
  })
})
