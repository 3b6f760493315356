/**
 * What one run may spend on each stream: requests and tasks (`max_requests_per_run`, `max_tasks_per_run`). Owns the counts of this run; a stream whose cap is reached
 * gives its tasks back unspent, and the run goes on with the others. Nothing is kept: the next run begins anew.
 */
import { StoppedError } from '../domain/errors.js'
import type { Log } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { StreamSettings } from '../domain/source-model.js'
import type { Lease } from '../domain/task.js'

interface Spent {
  readonly settings: StreamSettings
  requests: number
  tasks: number
  /** Why nothing more is claimed, for people; null: the cap is not reached. */
  reached: string | null
}

const noSpending: { readonly requests: number; readonly settings: Pick<StreamSettings, 'maxRequestsPerRun'> } = {
  requests: 0,
  settings: {},
}

export class StreamCaps {
  readonly #spent: ReadonlyMap<string, Spent>
  readonly #log: Log

  constructor(streams: readonly SelectedStream[], log: Log) {
    this.#spent = new Map(
      streams.map(({ source, stream }) => [
        `${source.name}.${stream.name}`,
        { settings: stream.settings, requests: 0, tasks: 0, reached: null },
      ]),
    )
    this.#log = log
  }

  /** Streams that this run is done with, each with its reason. */
  get reached(): ReadonlyMap<string, string> {
    const all = [...this.#spent].flatMap(([name, { reached }]) => (reached === null ? [] : [[name, reached] as const]))
    return new Map(all)
  }

  /** Counts a request before it waits for its place. @throws StoppedError at the cap: its task is given back. */
  takeRequest(name: string): void {
    const spent = this.#spent.get(name)
    const most = spent?.settings.maxRequestsPerRun
    if (spent === undefined || most === undefined) return
    if (spent.requests >= most) {
      this.#reach(name, spent, `its ${most} requests of this run are sent`)
      throw new StoppedError(`stopped: ${name} has sent its ${most} requests of this run`)
    }
    spent.requests += 1
  }

  /** Tasks at hand would only be given back at their first request. */
  hasSpentRequests(name: string): boolean {
    const { requests, settings } = this.#spent.get(name) ?? noSpending
    return requests >= (settings.maxRequestsPerRun ?? Number.POSITIVE_INFINITY)
  }

  /** It was not sent after all. */
  giveRequestBack(name: string): void {
    const spent = this.#spent.get(name)
    if (spent?.settings.maxRequestsPerRun !== undefined) spent.requests -= 1
  }

  /** Of a stream's tasks that were claimed, those that it may still work on; the rest is to be given back. */
  takeTasks(leases: readonly Lease[]): { readonly taken: readonly Lease[]; readonly over: readonly Lease[] } {
    const taken: Lease[] = []
    const over: Lease[] = []
    for (const lease of leases) {
      const isTaken = this.#takeTask(`${lease.task.source}.${lease.task.stream}`)
      const into = isTaken ? taken : over
      into.push(lease)
    }
    return { taken, over }
  }

  #takeTask(name: string): boolean {
    const spent = this.#spent.get(name)
    if (spent === undefined) return true
    if (spent.reached !== null) return false
    const most = spent.settings.maxTasksPerRun
    if (most === undefined) return true
    spent.tasks += 1
    if (spent.tasks === most) this.#reach(name, spent, `its ${most} tasks of this run are claimed`)
    return true
  }

  #reach(name: string, spent: Spent, reason: string): void {
    if (spent.reached !== null) return
    spent.reached = reason
    this.#log('info', 'stream capped', { stream: name, reason, requests: spent.requests, tasks: spent.tasks })
  }
}
