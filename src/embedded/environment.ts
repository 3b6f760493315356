/** The environment of the server's processes: nothing of the command's own, which may hold secrets, PG* variables or a foreign locale. */
import type { Binaries } from './binaries.js'

/** The variables that initdb and postgres get. */
export function environmentFor(binaries: Binaries): NodeJS.ProcessEnv {
  const base = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  if (binaries.libraryPath === null) return base
  return { ...base, [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: binaries.libraryPath }
}
