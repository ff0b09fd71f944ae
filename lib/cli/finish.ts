import type { StoredJob } from '../store/job.ts'
import { EXIT } from './exit-code.ts'
import { linesOf, mostFrequent } from './most-frequent.ts'
import { skippedNote, type Tally } from './tally.ts'
import type { Talk } from './talk.ts'

/** The command that continues. */
export interface Next {
  readonly words: readonly string[]
  /** It reads a pipe, which has to be fed the same input from its start. */
  readonly piped?: boolean
  /** The job is finished; it retries the failed rows. */
  readonly retries?: boolean
}

/** How a command ends: its exit code, and what continues. */
export interface Ending {
  readonly code: number
  readonly next?: Next | undefined
}

/** Closes the books of a run whose every row is out: one row for each record, or it is a bug that must not stay hidden. */
export async function finish(
  job: StoredJob,
  tally: Tally,
  talk: Talk,
  flags: readonly string[],
): Promise<Ending> {
  await job.finish(tally.rows)
  await sayTally(job, tally, talk)
  const { skipped = 0 } = tally.byStatus()
  if (skipped > 0) talk.say(skippedNote(skipped))
  if (tally.failed === 0) return { code: EXIT.answered }
  return failedEnding(job, tally, flags)
}

/** Says what became of the rows, and what most of the failed ones say. */
export async function sayTally(
  { name, store, state }: Pick<StoredJob, 'name' | 'store' | 'state'>,
  tally: Tally,
  talk: Talk,
  more = '',
): Promise<void> {
  talk.say(`job ${name}: ${tally}${more}`)
  for (const line of linesOf(await mostFrequent(store.folder, state.sources, tally.failures)))
    talk.say(line)
}

/** The end of a command whose rows are not all `succeeded`, with the command that retries them where that can help. */
export function failedEnding(
  { name }: Pick<StoredJob, 'name'>,
  tally: Tally,
  flags: readonly string[],
): Ending {
  if (!tally.isRetryable) return { code: EXIT.someFailed }
  return { code: EXIT.someFailed, next: { words: ['retry', name, ...flags], retries: true } }
}

export function sayNext(talk: Talk, { words, piped, retries }: Next): void {
  const resumes = piped ? 'to continue, with the same input again' : 'to continue'
  const how = retries ? 'to retry the failed rows' : resumes
  talk.must(`${how}: ${commandLine(words)}`, { next: words })
}

/** A word as a shell reads it back. Control characters take the $'...' of bash and zsh, so that the line stays one line. */
export function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`
  const escaped = word
    .replaceAll(/[\\']/g, '\\$&')
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, character =>
      [...Buffer.from(character)].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
    )
  return `$'${escaped}'`
}

/** A command line that can be copied as it is. */
export function commandLine(words: readonly string[]): string {
  return ['claude-batch-stream', ...words].map(quote).join(' ')
}
