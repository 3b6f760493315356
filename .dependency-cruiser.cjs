// The layers: who may import whom. A rule that hurts is a design question, not a reason for an exception here.

const domain = '^src/domain/'
const oneOf = (...folders) => `^src/(${folders.join('|')})/`
const adapters = ['queue', 'source', 'destination', 'embedded', 'lock', 'log', 'clock']
const useCases = ['seed', 'worker', 'status', 'retry', 'verify']

/** Files of `from` may reach no file of src but their own folder's, domain's and `also`. */
const closed = (name, comment, from, ...also) => ({
  name,
  comment,
  severity: 'error',
  from: { path: `^src/(${from.join('|')})/` },
  to: { path: '^src/', pathNot: ['^src/$1/', domain, ...also] },
})

/** Only files of `from` may import the package. */
const onlyFrom = (packages, from, comment) => ({
  name: `only-there-${packages[0].replace('@', '').replace('/', '-')}`,
  comment,
  severity: 'error',
  from: { path: '^(bin|commands|src)/', pathNot: from },
  to: { path: packages.map((name) => `node_modules/(@types/)?${name}/`) },
})

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '[.]node$' } },
    {
      name: 'no-undeclared-package',
      comment: 'the installed package has dependencies only; what bin, commands and src import must be among them',
      severity: 'error',
      from: { path: '^(bin/run|commands/|src/)' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        // Types are gone from what is published.
        pathNot: 'node_modules/@types/',
      },
    },
    {
      name: 'domain-imports-nothing',
      severity: 'error',
      from: { path: domain },
      to: { pathNot: domain },
    },
    closed('adapters-know-domain-only', 'one outside thing each; src/cli puts them together', adapters),
    closed('use-cases-know-domain-only', 'no SQL, no HTTP, no argv: ports only', useCases),
    {
      name: 'use-cases-touch-nothing-outside',
      severity: 'error',
      from: { path: oneOf(...useCases) },
      to: {
        path: [
          'node_modules/(@types/)?(got|pg|pg-copy-streams|better-sqlite3|proper-lockfile|@oclif)/',
          '^(node:)?(http|https|net|tls|dgram|fs|fs/promises|child_process)$',
        ],
      },
    },
    closed('definition-knows-domain-only', 'reads definitions; finds none', ['definition']),
    closed(
      'workspace-knows-definitions',
      'the registry of shipped sources lives here and nowhere else',
      ['workspace'],
      '^src/definition/',
      '^src/sources/',
    ),
    {
      name: 'sources-are-definitions',
      comment: 'a shipped source sees what a user sees: defineSource',
      severity: 'error',
      from: { path: '^src/sources/' },
      to: { pathNot: ['^src/sources/', '^src/index[.]ts$', '^src/definition/', '^src/domain/'] },
    },
    {
      name: 'index-is-for-source-authors',
      severity: 'error',
      from: { path: '^src/index[.]ts$' },
      to: { pathNot: ['^src/definition/', domain] },
    },
    {
      name: 'simulators-know-domain-only',
      comment: 'a simulator that imports the engine would share its mistakes',
      severity: 'error',
      from: { path: '^src/simulators/' },
      to: { path: '^src/', pathNot: ['^src/simulators/', domain] },
    },
    {
      name: 'sources-are-named-in-one-place',
      comment: 'the engine names no shipped source (DESIGN.md §8)',
      severity: 'error',
      from: { path: '^(bin|commands|src)/', pathNot: ['^src/(sources|simulators|demo|workspace)/'] },
      to: { path: '^src/(sources|simulators)/' },
    },
    {
      name: 'workspace-names-no-simulator',
      severity: 'error',
      from: { path: '^src/workspace/' },
      to: { path: '^src/simulators/' },
    },
    {
      name: 'commands-start-light',
      comment: 'status must load neither got nor pg: a command imports its use case inside run()',
      severity: 'error',
      from: { path: '^commands/' },
      to: { path: '^src/', pathNot: ['^src/cli/', domain], dynamic: false, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-imports-commands',
      severity: 'error',
      from: { path: '^(bin|src)/' },
      to: { path: '^(commands|test)/' },
    },
    {
      name: 'nobody-imports-the-edge',
      comment: 'src/cli and src/demo are where things meet; nothing below may know them',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|demo)/' },
      to: { path: '^src/(cli|demo)/' },
    },
    onlyFrom(['@oclif/core'], ['^(bin|commands)/', '^src/(cli|demo)/'], 'oclif is known at the edge only'),
    onlyFrom(['got'], ['^src/source/'], 'one HTTP client, one place'),
    onlyFrom(['pg', 'pg-copy-streams'], ['^src/(destination|embedded)/'], 'Postgres has one adapter'),
    onlyFrom(
      ['better-sqlite3'],
      ['^src/(queue|lock|embedded|simulators)/', '^bin/'],
      'SQLite is the queue, the kernel lock, and what a simulated Datasette serves',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.cjs', '.d.ts'],
    },
  },
}
