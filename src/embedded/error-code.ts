/** What the operating system calls a failure: `ENOENT`, `EACCES`; the error's text where it has no such code. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
