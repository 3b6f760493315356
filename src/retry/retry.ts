/**
 * Puts dead tasks back, the only way from dead to ready, or gives them up for good. Owns no state; the queue's transaction is all that happens. A retried task keeps its id and
 * goes on where its ledger row stands.
 */
import { ConfigError } from '../domain/errors.js'
import type { Queue, RetrySelection, TaskFilter } from '../domain/ports.js'
import type { Task } from '../domain/task.js'

export interface RetryRequest {
  readonly filter: TaskFilter
  /** Ids or numbers; null: not restricted. */
  readonly tasks: readonly string[] | null
  readonly codes: readonly string[] | null
  /** `--all`, typed by the operator. */
  readonly all: boolean
}

/** The selected dead tasks are given up for good: cancelled, with a note. Answers them. @throws as {@link retry} */
export async function dismiss(
  request: RetryRequest & { readonly note: string | null },
  deps: { readonly queue: Queue },
): Promise<readonly Task[]> {
  return deps.queue.dismiss(await selectionOf(request, deps.queue), request.note)
}

/**
 * Answers the tasks that moved.
 * @throws ConfigError `no_selector` without `--task`, `--code` or `--all`; `unknown_task` where a named task does not exist or is not dead.
 */
export async function retry(request: RetryRequest, deps: { readonly queue: Queue }): Promise<readonly Task[]> {
  return deps.queue.retry(await selectionOf(request, deps.queue))
}

/** The dead tasks that a request names, without moving them. @throws as {@link retry}. */
export async function deadTasks(request: RetryRequest, deps: { readonly queue: Queue }): Promise<readonly Task[]> {
  const { filter, tasks, codes } = await selectionOf(request, deps.queue)
  const named = tasks === null ? null : new Set(tasks)
  const dead = await deps.queue.tasks({
    states: ['dead'],
    filter,
    ...(codes === null ? {} : { codes }),
    limit: Number.MAX_SAFE_INTEGER,
  })
  return dead.filter(({ id }) => named === null || named.has(id))
}

async function selectionOf(request: RetryRequest, queue: Queue): Promise<RetrySelection> {
  const { filter, tasks, codes, all } = request
  if (tasks === null && codes === null && !all) {
    throw new ConfigError('no_selector', 'retry needs to be told which dead tasks', {
      hint: 'name them with --task or --code, or type --all',
    })
  }
  const ids = tasks === null ? null : await Promise.all(tasks.map((name) => deadTaskId(name, queue)))
  return { filter, tasks: ids, codes }
}

async function deadTaskId(name: string, queue: Queue): Promise<string> {
  const isNumber = /^\d{1,15}$/.test(name)
  const [task] = await queue.tasks(isNumber ? { number: Number(name), limit: 1 } : { id: name, limit: 1 })
  if (task === undefined) {
    throw new ConfigError('unknown_task', `retry found no task "${name}"`, {
      hint: 'run "backfill status --dead" for the dead ones',
    })
  }
  if (task.state === 'dead') return task.id
  const hint =
    task.state === 'ready' || task.state === 'leased'
      ? 'the worker goes on with it by itself, from where its walk stands'
      : 'run "backfill seed --force" to move its partition again'
  throw new ConfigError('not_dead', `retry found task ${task.number} ${task.state}, not dead`, { hint })
}
