/** Shared by the benchmarks: medians, a finished process with its time and peak memory, and the table of results with their targets. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error('median of nothing')
  return middle
}

export interface Finished {
  readonly ms: number
  readonly peakMb: number
  readonly output: string
  readonly code: number | null
}

/** Runs node with the arguments until it exits. Peak memory is the kernel's high-water mark, read until the end. Throws where it fails. */
export async function runNode(
  args: readonly string[],
  options: { readonly cwd?: string; readonly watch?: boolean; readonly mayFail?: boolean } = {},
): Promise<Finished> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let output = ''
  child.stdout.on('data', (some: Buffer) => (output += some.toString()))
  child.stderr.on('data', (some: Buffer) => (output += some.toString()))
  let peakMb = 0
  const timer =
    options.watch === true ? setInterval(() => (peakMb = Math.max(peakMb, highWaterMb(child.pid))), 20) : undefined
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  clearInterval(timer)
  if (code !== 0 && options.mayFail !== true)
    throw new Error(`node ${args.join(' ')} exited with ${String(code)}:\n${output}`)
  return { ms: performance.now() - startedAt, peakMb, output, code }
}

function highWaterMb(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? '0') / 1024
  } catch {
    return 0
  }
}

export interface Result {
  readonly what: string
  readonly value: number
  readonly unit: string
  /** The target: a bound and whether the value must be at least or at most it; null: only a figure. */
  readonly target: { readonly kind: 'at least' | 'at most'; readonly bound: number } | null
}

/** Prints one line a result; answers whether every target was met. */
export function printResults(title: string, results: readonly Result[]): boolean {
  process.stdout.write(`\n${title}\n`)
  let isGood = true
  for (const { what, value, unit, target } of results) {
    const met = target === null || (target.kind === 'at least' ? value >= target.bound : value <= target.bound)
    isGood &&= met
    const wanted =
      target === null ? '' : `  (${target.kind} ${target.bound.toLocaleString('en-US')}: ${met ? 'met' : 'MISSED'})`
    const shown = value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 })
    process.stdout.write(`  ${what.padEnd(62)} ${shown.padStart(10)} ${unit}${wanted}\n`)
  }
  return isGood
}
