/**
 * Runs the simulated civic.band as a process of its own: `node serve.js '{"port":0,"sites":{"oakland.ca":{"agendas":10,"minutes":10}}}'`. One line of
 * JSON on standard output says where it listens; then it serves until SIGTERM or SIGINT, or, with `"untilInputEnds":true`, until its standard input ends,
 * which also happens when the process that started it dies.
 */
import { type CivicBandOptions, startCivicBand } from './civic-band.js'

interface ServeOptions extends CivicBandOptions {
  readonly untilInputEnds?: boolean
}

const options = JSON.parse(process.argv[2] ?? '{"sites":{}}') as ServeOptions
const simulator = await startCivicBand(options)
process.stdout.write(`${JSON.stringify({ url: simulator.url, port: simulator.port, pid: process.pid })}\n`)

const stop = (): void => void simulator.close().then(() => process.exit(0))
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
if (options.untilInputEnds === true) process.stdin.once('end', stop).once('error', stop).resume()
