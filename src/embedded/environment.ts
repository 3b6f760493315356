/** The environment of the server's processes: nothing of the command's own, which may hold secrets, PG* variables or a foreign locale. */
import { join } from 'node:path'
import type { Binaries } from './binaries.js'

/** The variables that initdb and postgres get. */
export function environmentFor(binaries: Binaries): NodeJS.ProcessEnv {
  const base = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  if (binaries.libraryPath === null) return base
  // A library that is found by its link looks for the next one beside the link, not beside itself.
  const folders = [binaries.libraryPath, join(binaries.root, 'lib')].join(':')
  return { ...base, [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: folders }
}
