/** The files that `init` makes. Pure text. */
import { schemaLine } from '../../definition/schema-line.js'

/** backfill.yaml: few lines, each with its sentence. @param root folder of this package */
export function settingsFile(
  root: string,
  database: string,
  sources: readonly { readonly name: string; readonly wanted: readonly string[] }[],
): string {
  const entries = sources.flatMap(({ name, wanted }) => [
    `  ${name}:${wanted.length === 0 ? ' {}' : ''}`,
    ...wanted.map((list) => `    ${list}: []  # fill in: one value or more`),
  ])
  return `${schemaLine(root, 'workspace')}
# A workspace of backfill. Any setting may also stand under a source or one of its streams; the README lists them all.

# embedded: a Postgres of this workspace's own. For yours: $DATABASE_URL, with the address in .env.
database: ${database}

# Times in text, and what "today" is; the system's zone where this line is missing.
# timezone: Europe/Berlin

# Definitions in sources/ are in use by themselves; shipped ones are listed here.
sources:
${entries.length === 0 ? '  # acme: { page_size: 100 }\n' : `${entries.join('\n')}\n`}`
}

/** .env, mode 0600. */
export function environmentFile(url: string | null): string {
  const line = url === null ? '# DATABASE_URL=postgres://user:password@localhost:5432/name' : `DATABASE_URL=${url}`
  return `# Secrets, NAME=value. Definitions name them as $NAME. The process's environment goes before this file.\n${line}\n# ACME_TOKEN=\n`
}

export const ignoredFiles = `.env
.backfill/
queue.db
queue.db-shm
queue.db-wal
`

/** sources/acme.yaml.example: copied, it is a source. */
export function exampleSource(root: string): string {
  return `${schemaLine(root, 'source')}
# Copy this file to acme.yaml and make it yours; then: backfill seed acme --dry-run
source: acme
base_url: https://api.acme.example/v1
auth: { bearer: $ACME_TOKEN }   # the value is in .env
budget: { limits: [2/s, 1200/h], reserve: 5% }
paginate: { page: page, size: per_page, total: header X-Total }
page_size: 100
streams:
  users:
    path: /users
    key: id
    version: updated_at
    columns:
      id: bigint
      name: text
      email: text
      updated_at: timestamptz
`
}
