/**
 * Runs the simulated School 42 as a process of its own: `node serve.js '{"port":4242,"size":{"users":5000},"switches":{"hourly":null}}'`, or, in a clone,
 * `node --import tsx src/simulators/school-42/serve.ts '{"port":4242,"allTraps":true}'`. The argument is JSON of `School42Options`; `"allTraps":true` sets all traps before
 * `switches`. One line of JSON on standard output says where it listens; then it serves until SIGTERM or SIGINT, or, with `"untilInputEnds":true`, until its standard
 * input ends, which also happens when the process that started it dies. A first look:
 *
 *     curl -s -d 'grant_type=client_credentials&client_id=u-s4t2ud-synthetic&client_secret=s-s4t2ud-synthetic' http://127.0.0.1:4242/oauth/token
 *     curl -sg -H 'Authorization: Bearer …' 'http://127.0.0.1:4242/v2/users?page[size]=2'
 */
import { allTraps, type School42Options, startSchool42 } from './school-42.js'

interface ServeOptions extends School42Options {
  readonly untilInputEnds?: boolean
  readonly allTraps?: boolean
}

const options = JSON.parse(process.argv[2] ?? '{}') as ServeOptions
const switches = { ...(options.allTraps === true ? allTraps : {}), ...options.switches }
const simulator = await startSchool42({ ...options, switches })
process.stdout.write(`${JSON.stringify({ url: simulator.url, port: simulator.port, pid: process.pid })}\n`)

const stop = (): void => void simulator.close().then(() => process.exit(0))
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
if (options.untilInputEnds === true) process.stdin.once('end', stop).once('error', stop).resume()
