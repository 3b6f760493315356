import { expect, it } from 'vitest'
import { linkAbort } from '../../src/worker/linked-abort.js'

it('as many as are at work follow one signal, without a warning of Node on standard error', async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  const run = new AbortController()
  const links = Array.from({ length: 50 }, () => linkAbort(run.signal))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  expect(warnings).toEqual([])
  links[0]?.release()
  run.abort()
  expect(links.map(({ signal }) => signal.aborted)).toEqual([false, ...Array<boolean>(49).fill(true)])
})
