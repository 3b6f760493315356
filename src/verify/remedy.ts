/** The command that puts a difference right, whole: a bare `seed --force` would ask for everything again. Pure. */
import type { Partition } from '../domain/partition.js'
import type { SelectedStream } from '../domain/selection.js'

/** Longer ones name no partition: nobody types the hundred values of a request. */
const longest = 120

/** `run "backfill seed acme.thing --partition site=a --force"`. */
export function seedAgain(selected: SelectedStream, partition: Partition): string {
  return seeding(selected, partition, ' --force')
}

/** The same for what was never seeded. */
export function seedFirst(selected: SelectedStream, partition: Partition): string {
  return seeding(selected, partition, '')
}

function seeding({ source, stream }: SelectedStream, partition: Partition, flags: string): string {
  const name = `${source.name}.${stream.name}`
  const values = Object.entries(partition).map(([dimension, value]) => ` --partition ${word(`${dimension}=${value}`)}`)
  const whole = `run "backfill seed ${name}${values.join('')}${flags}"`
  if (whole.length <= longest) return whole
  return `run "backfill seed ${name} --partition …${flags}" for it`
}

/** As a shell takes it for one word. */
function word(text: string): string {
  return /^[\w.,:=@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
