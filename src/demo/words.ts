/** What the demo itself says, around the output of the commands. Pure but for the given `say`. */
import type { ChalkInstance } from 'chalk'

export interface Words {
  readonly say: (line: string) => void
  /** Says a command line, before it runs. */
  readonly command: (line: string) => void
}

/** Words for a terminal or a pipe, as the ink has it. */
export function demoWords(say: (line: string) => void, ink: ChalkInstance): Words {
  return { say, command: (line) => say(`\n${ink.bold(line)}`) }
}

export function greeting(
  words: Words,
  scene: { readonly directory: string; readonly isFirst: boolean; readonly address: string },
): void {
  const place = scene.isFirst
    ? `The demo makes a workspace in ${scene.directory}`
    : `The demo goes on in ${scene.directory}`
  words.say(`${place}; a simulated civic.band listens on ${scene.address}`)
}

export interface Ending {
  readonly exitCode: number
  /** What the simulated service received in this run. */
  readonly requests: number
  readonly rows: number
  readonly refused: number
  readonly workspace: string
  /** Path of the program, as it can be typed here. */
  readonly program: string
}

/** What the service saw, and what to do next; after a failure only where to look. */
export function farewell(words: Words, ending: Ending): void {
  const { workspace } = ending
  words.say(
    `\nThe service received ${plural(ending.requests, 'request')}, gave ${plural(ending.rows, 'row')} and refused ${ending.refused || 'none'}.`,
  )
  if (ending.exitCode !== 0) {
    words.say(`The demo is not complete: look with "backfill status --workspace ${workspace}", then run it again.`)
    return
  }
  const sql = 'select subdomain, document_type, count(*) from meeting_page group by 1, 2'
  words.say(`\nNext ("backfill" is "node ${ending.program}" here):`)
  words.say(`- look at the rows: backfill sql "${sql}" --workspace ${workspace}`)
  words.say(
    '- your own API: backfill init --workspace mine, describe it in mine/sources/NAME.yaml, then seed, worker, status, verify as above',
  )
  words.say('- cron: copy the lines of crontab.example, with the path of your workspace in them')
}

function plural(count: number, word: string): string {
  return `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`
}
