import { describe, expect, it } from 'vitest'
import { type DueAt, dueOf, type KeptToken, keepToken, type TokenAnswer } from '../../src/source/token-life.js'

const now = Date.UTC(2026, 0, 15, 12)
const place = { source: 'acme', tokenUrl: 'https://acme.example/oauth/token' }
const answer = (parts: Partial<TokenAnswer> = {}): TokenAnswer => ({
  accessToken: 'one',
  expiresIn: 7200,
  createdAt: null,
  secretValidUntil: null,
  sentAt: now,
  servedAt: null,
  ...parts,
})
const keep = (parts: Partial<TokenAnswer>, before: KeptToken | null = null, isForced = false): KeptToken =>
  keepToken(answer(parts), place, { before, isForced })
const left = ({ expiresAt }: KeptToken): number => ((expiresAt ?? Number.NaN) - now) / 1000

describe('the life of a token', () => {
  it('is counted from before the request', () => {
    expect(left(keep({}))).toBe(7200)
    expect(keep({ expiresIn: null }).expiresAt).toBeNull()
    expect(left(keep({ expiresIn: -5 }))).toBe(0)
  })

  it('is what is left of it where the answer says when it began', () => {
    expect(left(keep({ createdAt: now / 1000 - 32 }))).toBe(7200 - 31)
    // Its own clock is asked, not ours: a source that is ten minutes behind does not shorten it.
    expect(left(keep({ createdAt: now / 1000 - 600, servedAt: now - 600_000 }))).toBe(7200)
  })

  it('is what the answer says is left where counting from its beginning leaves nothing', () => {
    expect(left(keep({ expiresIn: 600, createdAt: now / 1000 - 6600 }))).toBe(600)
  })

  it('does not grow or shrink by asking again', () => {
    const first = keep({})
    const again = keep({ sentAt: now + 4_000_000, expiresIn: 3200 }, first)
    expect(again).toMatchObject({ expiresAt: first.expiresAt, isHandedBack: true })
    const nominal = keep({ sentAt: now + 4_000_000, expiresIn: 7200 }, first)
    expect(nominal.expiresAt).toBe(first.expiresAt)
    // Its end has passed and it is given all the same: now it counts anew.
    const late = keep({ sentAt: now + 7_300_000, expiresIn: 100 }, first)
    expect(late.expiresAt).toBe(now + 7_400_000)
  })

  it('remembers whether the source hands back what still lives', () => {
    const first = keep({})
    expect(first.isHandedBack).toBe(false)
    const handedBack = keep({ sentAt: now + 1000 }, first)
    expect(handedBack.isHandedBack).toBe(true)
    expect(keep({ accessToken: 'two', sentAt: now + 7_201_000 }, handedBack).isHandedBack).toBe(true)
    expect(keep({ accessToken: 'two', sentAt: now + 1000 }, handedBack).isHandedBack).toBe(false)
    expect(keep({ accessToken: 'two', sentAt: now + 1000 }, handedBack, true).isHandedBack).toBe(true)
    expect(keep({ createdAt: now / 1000 - 3000 }).isHandedBack).toBe(true)
  })
})

describe('another token is due', () => {
  const rules = { marginMs: 60_000, aheadMs: 3_600_000 }
  const at = (seconds: number, parts: Partial<DueAt> = {}): DueAt => ({
    now: now + seconds * 1000,
    looksAhead: false,
    deadlineAt: null,
    ...parts,
  })

  it('before the margin, and at the end', () => {
    const token = keep({})
    expect(dueOf(token, rules, at(7139))).toBeNull()
    expect(dueOf(token, rules, at(7140))).toBe('margin')
    expect(dueOf(token, rules, at(7200))).toBe('over')
  })

  it('with less than an hour left where a run begins that may outlive it', () => {
    const token = keep({})
    expect(dueOf(token, rules, at(3600, { looksAhead: true }))).toBeNull()
    expect(dueOf(token, rules, at(3601, { looksAhead: true }))).toBe('ahead')
    expect(dueOf(token, rules, at(3601, { looksAhead: true, deadlineAt: now + 4_000_000 }))).toBeNull()
  })

  it('at the end only where the source hands back what still lives', () => {
    const token = { ...keep({}), isHandedBack: true }
    expect(dueOf(token, rules, at(7199, { looksAhead: true }))).toBeNull()
    expect(dueOf(token, rules, at(7200))).toBe('over')
  })

  it('less early where it lives shorter than the rules were made for, and never where it does not say', () => {
    const short = keep({ expiresIn: 40 })
    expect(dueOf(short, rules, at(15, { looksAhead: true }))).toBeNull()
    expect(dueOf(short, rules, at(21, { looksAhead: true }))).toBe('ahead')
    expect(dueOf(short, rules, at(29))).toBeNull()
    expect(dueOf(short, rules, at(30))).toBe('margin')
    expect(dueOf(keep({ expiresIn: null }), rules, at(1e9))).toBeNull()
  })
})
