import { openTemporaryQueue } from './open-temporary.js'
import { describeQueue } from './queue-conformance.js'

describeQueue('SQLite', openTemporaryQueue)
