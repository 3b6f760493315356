// Owns which database a workspace means, once the environment is known. What is missing is not an error yet: `status` and `seed` need no database.
import { ConfigError } from '../domain/errors.js'
import type { DatabaseSetting, Workspace } from '../domain/workspace-model.js'
import type { CompiledDatabase } from './compiled-workspace.js'
import { type Environment, variable } from './environment.js'

/** The database, or why there is none. */
export type ResolvedDatabase =
  | { readonly database: DatabaseSetting }
  | { readonly database: null; readonly databaseProblem: ConfigError }

/** BACKFILL_DATABASE, or what backfill.yaml says. `text` reads backfill.yaml, where an address stands and stays. */
export function resolveDatabase(
  compiled: CompiledDatabase,
  environment: Environment,
  text: () => string,
): ResolvedDatabase {
  const twin = variable(environment, 'BACKFILL_DATABASE')
  if (twin !== null) return readSetting(twin, environment, 'BACKFILL_DATABASE')
  switch (compiled.kind) {
    case 'none':
      return problem('no_database', 'open the database found none configured', noneHint)
    case 'embedded':
      return { database: { kind: 'embedded' } }
    case 'variable':
      return fromVariable(compiled.name, environment)
    case 'address':
      return fromAddress(text().slice(compiled.start, compiled.end), environment, 'backfill.yaml')
  }
}

/** The workspace's database. @throws ConfigError that says why there is none. */
export function requireDatabase(workspace: Pick<Workspace, 'database' | 'databaseProblem'>): DatabaseSetting {
  if (workspace.database !== null) return workspace.database
  throw (
    workspace.databaseProblem ??
    new ConfigError('no_database', 'open the database found none configured', { hint: noneHint })
  )
}

const noneHint = 'write "database: embedded" or "database: $DATABASE_URL" into backfill.yaml'

function readSetting(setting: string, environment: Environment, origin: string): ResolvedDatabase {
  if (setting === 'embedded') return { database: { kind: 'embedded' } }
  const name = /^\$\{?([A-Za-z_]\w*)\}?$/.exec(setting)?.[1]
  return name === undefined ? fromAddress(setting, environment, origin) : fromVariable(name, environment)
}

function fromVariable(name: string, environment: Environment): ResolvedDatabase {
  const value = variable(environment, name)
  // A variable's value is taken as it is: a password may hold a dollar sign.
  if (value !== null) return checkedAddress(value, name)
  const message = `open the database found no variable "${name}" in the environment or .env`
  return problem('missing_environment', message, `set ${name} in .env, like ${name}=postgres://user@host/name`)
}

/** An address as written, with the variables in it filled in. */
function fromAddress(address: string, environment: Environment, origin: string): ResolvedDatabase {
  const missing: string[] = []
  const url = address.replaceAll(/\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)/g, (_hole, braced?: string, bare?: string) => {
    const name = braced ?? bare ?? ''
    const value = variable(environment, name)
    if (value === null) missing.push(name)
    return encodeURIComponent(value ?? '')
  })
  const [first] = missing
  if (first === undefined) return checkedAddress(url, origin)
  const message = `open the database found no variable "${first}" in the environment or .env`
  return problem('missing_environment', message, `set ${first} in .env`)
}

/** Text that is no address is never shown: it may be half of one. */
function checkedAddress(url: string, origin: string): ResolvedDatabase {
  if (!/^postgres(ql)?:\/\/\S+$/.test(url)) {
    const found = `open the database found no address in ${origin}`
    return problem('bad_database', found, 'write it as postgres://user@host/name')
  }
  if (isReadable(url)) return { database: { kind: 'server', url } }
  const found = `open the database found an address in ${origin} that cannot be read`
  return problem('bad_database', found, encodingHint)
}

const encodingHint =
  'write it as postgres://user:password@host:port/name; in user and password, write these as %23 (#), %25 (%), %2F (/), %3A (:), %3F (?), %40 (@)'

/** Whether it means what it says: a password with one of these signs ends the user's part early, and the rest of it becomes the host. */
function isReadable(url: string): boolean {
  const [, authority = '', place = '', query = ''] = /^postgres(?:ql)?:\/\/([^/?#]*)([^?]*)(.*)$/.exec(url) ?? []
  const hasUser = authority.includes('@') || /[?&]user=/.test(query)
  if (url.includes('#') || place.includes('@') || (!hasUser && query.includes('@'))) return false
  try {
    decodeURIComponent(authority.slice(0, Math.max(0, authority.lastIndexOf('@'))))
    // Without a host, as for a socket whose folder is in the query, an address is one only with any host in its place.
    new URL(url.replace(/^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?]|$)/, '$1host'))
    return true
  } catch {
    return false
  }
}

function problem(code: string, message: string, hint: string): ResolvedDatabase {
  return { database: null, databaseProblem: new ConfigError(code, message, { hint }) }
}
