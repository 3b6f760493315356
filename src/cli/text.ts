/** Numbers, durations and sentences as people read them. Pure; knows no terminal. Text of a source is cleaned here before it reaches one. */

/** `1,204,332`. */
export function count(value: number): string {
  // Not toLocaleString: loading its tables costs 8 ms, a tenth of Node's own start.
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** `1 task`, `3 tasks`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** `840 ms`, `2.1 s`, `42 s`, `4 min`, `2 h 05 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${String(minutes % 60).padStart(2, '0')} min`
  const days = Math.floor(hours / 24)
  if (days > 3650) return 'over 10 years'
  return days > 30 || hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`
}

/** `99.7 %`; never 100 % of what is not all. */
export function percent(share: number): string {
  if (share >= 1) return '100 %'
  const value = Math.min(99.9, share * 100)
  return value >= 10 && Number.isInteger(Math.round(value * 10) / 10)
    ? `${Math.round(value)} %`
    : `${value.toFixed(1)} %`
}

/** `15 per minute`, `2 per second`, `30 per 10 s`. */
export function limitText(limit: { readonly requests: number; readonly periodMs: number }): string {
  const unit = units[limit.periodMs]
  return `${count(limit.requests)} per ${unit ?? duration(limit.periodMs)}`
}
const units: Readonly<Record<number, string>> = {
  1000: 'second',
  60_000: 'minute',
  3_600_000: 'hour',
  86_400_000: 'day',
}

// Matching control characters is the purpose: a source's text could move the cursor or rename the window.
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/** Text from outside on one line, without control characters. */
export function clean(text: string): string {
  return text.replace(controls, ' ').trim()
}

/** Columns that a text takes on a terminal: East Asian wide characters and emoji two, combining marks none. */
export function width(text: string): number {
  // Latin, punctuation, arrows and blocks are one column each; the classes below cost a millisecond at their first use.
  if (/^[\u0020-\u024f\u2010-\u2319\u2500-\u25fc]*$/.test(text)) return text.length
  let columns = 0
  for (const character of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) continue
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1
  }
  return columns
}

/** The text in at most so many columns, cut with `…`. */
export function shorten(text: string, columns: number): string {
  if (width(text) <= columns) return text
  let short = ''
  for (const character of text) {
    if (width(short + character) > columns - 1) break
    short += character
  }
  return `${short}…`
}

/** The text in at most so many columns, cut in its middle: `municipal_me…g_pages`. */
export function shortenMiddle(text: string, columns: number): string {
  if (width(text) <= columns) return text
  const head = Math.floor((columns - 1) / 2)
  let tail = ''
  for (const character of Array.from(text).reverse()) {
    if (width(character + tail) > columns - 1 - head) break
    tail = character + tail
  }
  return shorten(text, head + 1) + tail
}

/** Lines of at most so many columns; a word that is longer (an address) is broken rather than let the terminal do it. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`
    if (width(joined) <= columns) {
      line = joined
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    while (width(line) > columns) {
      lines.push(line.slice(0, columns))
      line = line.slice(columns)
    }
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line]
}
