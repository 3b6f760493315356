/** One command that uses the embedded Postgres, as a process: opens it, says where it is, closes it when its standard input ends. */
import { type OpenEmbeddedOptions, openEmbedded } from '../../src/embedded/open-embedded.js'

const server = await openEmbedded(JSON.parse(process.argv[2] ?? '{}') as OpenEmbeddedOptions)
process.stdout.write(`${JSON.stringify(server.connection)}\n`)
process.stdin.resume()
process.stdin.once('end', () => void server.close())
