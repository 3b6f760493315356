// What typescript-eslint judges: floating promises, unsafe values, dead conditions. Biome formats; the layers belong to .dependency-cruiser.cjs.
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

const defaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'named exports only (STYLE.md); the default export of commands/ is what oclif asks for',
}

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', '.demo/', '.backfill/', '**/*.cjs', '**/*.d.ts'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      // One program for everything: test/tsconfig.json includes src, commands and bin.
      parserOptions: { project: ['./test/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      eqeqeq: 'error',
      'no-restricted-syntax': ['error', defaultExport],
      '@typescript-eslint/max-params': ['error', { max: 3 }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',

      // Messages carry counts ("found 998 rows"): a number in a template is no accident, an object is.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // The ports are asynchronous because a second driver will be (DESIGN.md §8); the SQLite adapter behind them never awaits.
      '@typescript-eslint/require-await': 'off',
      // `for (;;)` apart, a poll loop is `while (true)`; both end by return.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // `() => void call()` says less than `() => call()`; `return fail(…)` is an early return.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // `catch(() => {})` after a comment, `() => {}` for a callback that a test does not need: said better by nothing.
      '@typescript-eslint/no-empty-function': 'off',
      // A source's records are Record<string, Json>; writing them as an index signature or a Record is taste.
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      // Rows of SQL are read with `type`, ports with `interface`.
      '@typescript-eslint/consistent-type-definitions': 'off',
      // `_` marks what a signature forces on us.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
    },
  },
  {
    // People-text leaves through src/cli alone; a stray print elsewhere would break `--json` and cron's silence.
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**', 'src/demo/**'],
    rules: { 'no-console': 'error' },
  },
  {
    files: [
      'commands/**/*.ts',
      'src/sources/*.ts',
      'src/cli/help.ts',
      '**/*.config.{js,ts}',
      'test/support/global-setup.ts',
    ],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    // Plain JavaScript that runs before anything is installed: its types stand in JSDoc, which tsc checks (checkJs) and these rules cannot see.
    files: ['**/*.js'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
)
