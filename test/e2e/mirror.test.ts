/** Deletion, from outside: what the source no longer has goes after proof and confirmation, and nothing else ever does. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { seededBy } from '../fire/seeded.js'
import { type CampusApi, schoolYaml, startCampusApi, usersOf } from '../support/campus-api.js'
import { type CliWorkspace, makeWorkspace, until } from '../support/cli-workspace.js'

let api: CampusApi
let workspace: CliWorkspace

afterEach(async () => {
  await workspace.close()
  await api.close()
})

interface Setup {
  readonly users: Record<string, { id: number | string; name: string }[]>
  readonly key?: string
  readonly more?: readonly string[]
}

/** Loads everything once. */
async function setup({ users, key = '[campus, id]', more = ['disposition: mirror'] }: Setup): Promise<void> {
  api = await startCampusApi(users)
  workspace = await makeWorkspace({ 'school.yaml': schoolYaml(api.url, Object.keys(users), { key, more }) })
  expect(await workspace.run('seed', 'school')).toMatchObject({ code: 0 })
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
}
async function walkAgain(): Promise<Awaited<ReturnType<CliWorkspace['run']>>> {
  api.requests.length = 0
  expect(await workspace.run('seed', 'school', '--force')).toMatchObject({ code: 0 })
  return workspace.run('worker')
}
const idsIn = async (table = 'public.users') =>
  (await workspace.query<{ id: string }>(`select id from ${table} order by id`)).map(({ id }) => Number(id))
const ids = (first: number, last: number) => usersOf(first, last).map(({ id }) => Number(id))
const without = (gone: number, from: readonly number[]) => from.filter((id) => id !== gone)
const remove = (campus: string, ...gone: number[]) => {
  api.users[campus] = (api.users[campus] ?? []).filter(({ id }) => !gone.includes(Number(id)))
}
const prunedKeys = async () =>
  (await workspace.query<{ key: unknown }>('select key from backfill.pruned order by id')).map(({ key }) => key)
const deadCodes = async () => {
  const { dead } = (await workspace.json('status', '--dead')) as { dead: { code: string }[] }
  return dead.map(({ code }) => code)
}

describe('a mirrored stream', { timeout: 120_000 }, () => {
  it('deletes what two walks of one task did not bring, and keeps a copy', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    remove('a', 17)
    expect(await walkAgain()).toMatchObject({ code: 0, stderr: '' })
    expect(await idsIn()).toEqual(without(17, ids(1, 40)))
    // The load before was a walk that brought it: a second one after the first must confirm.
    expect(api.requests).toEqual(['a 1', 'a 2', 'a 3', 'a 4', 'a 1', 'a 2', 'a 3', 'a 4'])
    expect(await workspace.json('pruned')).toMatchObject({
      rows: [{ stream: 'users', partition: { campus: 'a' }, key: ['a', 17], record: { id: 17, name: 'user 17' } }],
    })
    expect(await workspace.run('pruned', 'school.users', '--restore')).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(ids(1, 40))
    expect(await workspace.run('pruned', 'school.users', '--restore')).toMatchObject({ stdout: 'No row to put back\n' })
  })

  it('asks for no second walk where nothing is missing', async () => {
    await setup({ users: { a: usersOf(1, 20) } })
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(api.requests).toEqual(['a 1', 'a 2'])
    expect(await prunedKeys()).toEqual([])
  })

  it('deletes after one request for each missing row, where the stream names one', async () => {
    await setup({
      users: { a: usersOf(1, 40) },
      more: ['disposition: mirror', "prune: { confirm: { path: '/users/{id}' } }"],
    })
    remove('a', 5)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(api.requests).toEqual(['a 1', 'a 2', 'a 3', 'a 4', 'user 5'])
    expect(await prunedKeys()).toEqual([['a', 5]])
  })

  it('keeps a row that its own request still finds', async () => {
    await setup({
      users: { a: usersOf(1, 40), b: [] },
      more: ['disposition: mirror', "prune: { confirm: { path: '/users/{id}' } }"],
    })
    remove('a', 5)
    api.users.b = [{ id: 5, name: 'user 5' }]
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(api.requests).toContain('user 5')
    expect(await prunedKeys()).toEqual([])
  })

  it('waits for the next walk of the partition, where the stream says so', async () => {
    await setup({ users: { a: usersOf(1, 40) }, more: ['disposition: mirror', 'prune: { confirm: later }'] })
    remove('a', 5)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await prunedKeys()).toEqual([])
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(api.requests).toHaveLength(4)
    expect(await prunedKeys()).toEqual([['a', 5]])
  })

  it('deletes nothing after a walk that is not proven', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    remove('a', 5)
    api.totalOffset = 1
    await walkAgain()
    expect(await idsIn()).toEqual(ids(1, 40))
  })

  it('does not believe a walk that a shifted page made miss a row', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    let isShifting = true
    api.before = (_, page) => {
      if (page !== 3 || !isShifting) return
      isShifting = false
      // A row that was walked goes and one comes behind the cursor: the counts agree, and row 21 is passed over.
      remove('a', 1)
      api.users.a?.push({ id: 99, name: 'user 99' })
    }
    expect(await walkAgain()).toMatchObject({ code: 0 })
    // The second walk brought row 21; row 1 was seen in the first, and goes with the next.
    expect(await idsIn()).toEqual([...ids(1, 40), 99])
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual([...without(1, ids(1, 40)), 99])
    expect(await prunedKeys()).toEqual([['a', 1]])
  })

  it('puts a larger deletion before an operator, and an empty walk too', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    remove('a', 5, 6, 7)
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await deadCodes()).toEqual(['prune_too_many'])
    expect(await idsIn()).toEqual(ids(1, 40))
    expect(await workspace.run('retry', '--all', '--agree')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(await prunedKeys()).toEqual([
      ['a', 5],
      ['a', 6],
      ['a', 7],
    ])

    api.users.a = []
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await deadCodes()).toEqual(['prune_empty'])
    expect(await idsIn()).toHaveLength(37)
  })

  it('does not take a retry without a word for one', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    remove('a', 5, 6, 7)
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await workspace.run('retry', '--all')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 3 })
    expect(await idsIn()).toEqual(ids(1, 40))
  })

  it('keeps rows that others refer to, and deletes nothing through a cascade', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    await workspace.query(`create table public.notes (campus text, user_id bigint, foreign key (campus, user_id) references public.users (campus, id));
      insert into public.notes values ('a', 5)`)
    remove('a', 5, 6)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(without(6, ids(1, 40)))
    expect(
      await workspace.query('select kept::int, pruned::int from backfill.ledger order by claimed_at desc limit 1'),
    ).toEqual([{ kept: 1, pruned: 1 }])

    await workspace.query(`drop table public.notes;
      create table public.marks (campus text, user_id bigint, foreign key (campus, user_id) references public.users (campus, id) on delete cascade)`)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(without(6, ids(1, 40)))
  })

  it('counts a held row as seen, and one without a readable key as no proof', async () => {
    await setup({ users: { a: usersOf(1, 40) } })
    const [first] = api.users.a ?? []
    api.users.a = [{ ...first, name: 'a lone \ud800 half' } as never, ...(api.users.a ?? []).slice(1)]
    await walkAgain()
    expect(await idsIn()).toEqual(ids(1, 40))

    remove('a', 30)
    api.users.a.push({ id: 'no number', name: 'x' })
    await walkAgain()
    expect(await idsIn()).toEqual(ids(1, 40))
    expect(await prunedKeys()).toEqual([])
  })
})

describe('a mirrored or replaced stream whose worker is killed again and again', { timeout: 120_000 }, () => {
  it.each([
    ['mirror, confirmed by a second walk', ['disposition: mirror']],
    ['mirror, confirmed by requests', ['disposition: mirror', "prune: { confirm: { path: '/users/{id}' } }"]],
    ['replace', ['disposition: replace']],
  ])('deletes what is gone, once, and nothing else: %s', async (_, more) => {
    await setup({ users: { a: usersOf(1, 100) }, more })
    remove('a', 17, 50, 99)
    const chance = seededBy('FIRE_SEED', 'kills while deleting')
    expect(await workspace.run('seed', 'school', '--force')).toMatchObject({ code: 0 })
    for (let kills = 0; kills < 5; kills += 1) {
      const worker = workspace.start('worker')
      await new Promise((resolve) => setTimeout(resolve, 400 + chance.below(900)))
      worker.child.kill('SIGKILL')
      await worker.ended
    }
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    const left = ids(1, 100).filter((id) => ![17, 50, 99].includes(id))
    expect(await idsIn()).toEqual(left)
    expect(await prunedKeys()).toEqual([
      ['a', 17],
      ['a', 50],
      ['a', 99],
    ])
    expect(await idsIn('public.delta_users')).toEqual([])
    expect(await workspace.query('select sum(pruned)::int as pruned from backfill.ledger')).toEqual([{ pruned: 3 }])
  })
})

describe('a mirrored stream whose rows may be in several partitions', { timeout: 120_000 }, () => {
  it('deletes a row only when no partition brings it any more', async () => {
    await setup({ users: { a: usersOf(1, 40), b: usersOf(40, 79) }, key: 'id' })
    remove('a', 40)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(ids(1, 79))

    remove('b', 40)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toContain(40)
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(without(40, ids(1, 79)))
  })

  it('waits for a partition that was never walked', async () => {
    await setup({ users: { a: usersOf(1, 40), b: usersOf(41, 60) }, key: 'id' })
    await workspace.query(`delete from backfill.ledger where partition like '%"b"%'`)
    remove('a', 3)
    for (let round = 0; round < 3; round += 1) {
      expect(await workspace.run('seed', 'school', '--campus', 'a', '--force')).toMatchObject({ code: 0 })
      expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    }
    expect(await idsIn()).toEqual(ids(1, 60))
  })
})

describe('a replaced stream', { timeout: 120_000 }, () => {
  it('shows no row that only the first of two walks brought', async () => {
    await setup({ users: { a: usersOf(1, 40) }, more: ['disposition: replace'] })
    // Row 7 is gone, so the walk is done again; the row that was new in the first one goes between the two.
    remove('a', 7)
    api.users.a?.push({ id: 99, name: 'user 99' })
    let walks = 0
    api.before = (_, page) => {
      if (page === 1) walks += 1
      if (page === 1 && walks === 2) remove('a', 99)
    }
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(walks).toBe(2)
    expect(await idsIn()).toEqual(without(7, ids(1, 40)))
    expect(await idsIn('public.delta_users')).toEqual([])
  })

  it('shows nothing that an abandoned walk held back, where the next one is empty', async () => {
    await setup({ users: { a: [] }, more: ['disposition: replace'] })
    api.users.a = usersOf(1, 40)
    let isHolding = true
    api.before = async (_, page) => {
      if (page === 4 && isHolding) await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
    }
    expect(await workspace.run('seed', 'school', '--force')).toMatchObject({ code: 0 })
    const worker = workspace.start('worker')
    await until(async () => (await idsIn('public.delta_users')).length === 30)
    worker.child.kill('SIGKILL')
    await worker.ended
    isHolding = false
    api.users.a = []
    // Another question begins another walk.
    const file = join(workspace.directory, 'sources/school.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace("/{campus}/users'", "/{campus}/users/'"))
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual([])
    expect(await idsIn('public.delta_users')).toEqual([])
  })

  it('promotes nothing of a walk that the count contradicts', async () => {
    await setup({ users: { a: usersOf(1, 40) }, more: ['disposition: replace'] })
    api.users.a = usersOf(1, 60)
    api.totalOffset = 5
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await deadCodes()).toEqual(['replace_differs'])
    expect(await idsIn()).toEqual(ids(1, 40))

    api.totalOffset = 0
    expect(await walkAgain()).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(ids(1, 60))
    expect(await idsIn('public.delta_users')).toEqual([])
  })

  it('walks again, after a retry, what the count still contradicts', async () => {
    await setup({ users: { a: usersOf(1, 40) }, more: ['disposition: replace'] })
    api.users.a = usersOf(1, 55)
    api.totalOffset = 5
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await deadCodes()).toEqual(['replace_differs'])

    api.users.a = usersOf(1, 60)
    api.totalOffset = 0
    expect(await workspace.run('retry', '--all')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual(ids(1, 60))
    expect(await idsIn('public.delta_users')).toEqual([])

    api.totalOffset = 5
    expect(await walkAgain()).toMatchObject({ code: 3 })
    expect(await workspace.run('retry', '--all')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 3 })
    expect(await deadCodes()).toEqual(['replace_differs'])
    expect(await idsIn()).toEqual(ids(1, 60))
  })

  it('shows nothing of a walk before its end, survives a kill, and then is what the source has', async () => {
    await setup({ users: { a: usersOf(1, 40) }, more: ['disposition: replace'] })
    expect(await idsIn()).toEqual(ids(1, 40))
    expect(await idsIn('public.delta_users')).toEqual([])

    api.users.a = [...usersOf(1, 39).map((user) => ({ ...user, name: `new ${user.id}` })), ...usersOf(50, 70)]
    let isHolding = true
    api.before = async (_, page) => {
      if (page === 5 && isHolding) await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
    }
    expect(await workspace.run('seed', 'school', '--force')).toMatchObject({ code: 0 })
    const worker = workspace.start('worker')
    await until(async () => (await idsIn('public.delta_users')).length === 40)
    expect(await workspace.query(`select 1 from public.users where name like 'new%'`)).toEqual([])
    worker.child.kill('SIGKILL')
    await worker.ended
    isHolding = false
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(await idsIn()).toEqual([...ids(1, 39), ...ids(50, 70)])
    expect(await workspace.query(`select 1 from public.users where name like 'new%'`)).toHaveLength(39)
    expect(await idsIn('public.delta_users')).toEqual([])
    expect(await prunedKeys()).toEqual([['a', 40]])
  })
})
