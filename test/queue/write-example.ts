/** The command behind `npm run queue-example`. */
import { writeExampleQueue } from './example.js'

writeExampleQueue('queue.db.example')
