#!/usr/bin/env node
// Takes a fresh clone to a running command: install, build, then `demo`, `test` or nothing. Runs before node_modules exists, so Node's own
// modules only, and syntax that an old Node can still read far enough to be told so. A kill anywhere leaves no stamp, so the next start repeats.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `backfill needs Node 20.19 or later, this is ${process.versions.node}; install a newer one and try again`,
  )
  process.exit(1)
}

const { bootstrap } = await import('./bootstrap/bootstrap.js')
await bootstrap(process.argv.slice(2))
