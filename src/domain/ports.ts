/** The ports: what use cases ask of the adapters, a file for each. Types only; the adapters never import one another. */
export type * from './ports/budget.js'
export type * from './ports/destination.js'
export type * from './ports/lock.js'
export type * from './ports/queue.js'
export type * from './ports/source.js'
export type * from './ports/time.js'
