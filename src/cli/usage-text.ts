/** The parser's complaints about a command line in the words of the other messages. Owns nothing but these words; must not know commands. Pure. */

/** What the parser says, its lines as they come: `The following error occurred:`, `--json=true cannot also be provided when using --watch`. */
export function usageText(lines: readonly string[]): string {
  const [first = '', ...rest] = lines.map((line) => line.trim())
  if (/^The following errors? occurred:$/.test(first)) return unique(rest.map(reworded)).join('; ')
  if (/^Missing \d+ required args?:$/.test(first)) return rest.map(missing).join('; ')
  const message = [first, ...rest].join(': ').replace(/\.$/, '').replaceAll('::', ':')
  return message.charAt(0).toLowerCase() + message.slice(1)
}

function reworded(line: string): string {
  const exclusive = /^--([\w-]+)(?:=.*)? cannot also be provided when using --([\w-]+)$/.exec(line)
  if (exclusive !== null) return `--${exclusive[2] ?? ''} and --${exclusive[1] ?? ''} exclude each other`
  const depends = /^All of the following must be provided when using --([\w-]+): (.+)$/.exec(line)
  if (depends === null) return line
  return `--${depends[1] ?? ''} goes only with ${(depends[2] ?? '').replace(/, (?=[^,]*$)/, ' and ')}`
}

/** `statement  one SQL statement, quoted`: the name as help writes it. */
function missing(line: string): string {
  const [name = '', what] = line.split(/\s{2,}/, 2)
  return `${name.toUpperCase()} is missing${what === undefined ? '' : `: ${what}`}`
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)]
}
