// Loads the workspace named on the command line and prints which packages were resolved for it.
import { register } from 'node:module'
import { MessageChannel } from 'node:worker_threads'

const { port1, port2 } = new MessageChannel()
const hook = `let port
export function initialize(given) { port = given }
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context)
  port.postMessage(found.url)
  return found
}`
register(`data:text/javascript,${encodeURIComponent(hook)}`, { data: port2, transferList: [port2] })
/** @type {Set<string>} */
const packages = new Set()
port1.on('message', (/** @type {string} */ url) => {
  const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (name !== undefined) packages.add(name)
})

const { loadWorkspace } = await import('../../src/workspace/load-workspace.js')
const { sources } = await loadWorkspace({ directory: process.argv[2] ?? '.', environment: {} })
await new Promise((resolve) => setImmediate(resolve))
process.stdout.write(JSON.stringify({ packages: [...packages].sort(), sources: Object.keys(sources) }))
port1.close()
