/** A counter on a terminal while `verify` asks; nothing elsewhere. */
import type { PartitionVerdict } from '../../verify/types.js'
import { fullLabelOf } from '../task-text.js'
import { shorten } from '../text.js'

export interface Counter {
  readonly tick: (verdict: PartitionVerdict) => void
  close(): void
}

export function openCounter(): Counter {
  let times = 0
  const isShown = process.stderr.isTTY
  return {
    tick: (verdict) => {
      times += 1
      if (isShown)
        process.stderr.write(
          `\r${shorten(`${times} checked, last ${fullLabelOf(verdict)}: ${verdict.verdict}`, 78)}\u001b[K`,
        )
    },
    close: () => {
      if (isShown && times > 0) process.stderr.write('\r\u001b[K')
      times = 0
    },
  }
}
