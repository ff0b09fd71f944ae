import { join, parse } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { nodeDisk } from '../store/disk.ts'
import type { JobState } from '../core/job/state.ts'
import { hasWorkLeft } from './job-work.ts'
import type { StoredJob } from '../store/job.ts'
import { EXIT } from './exit-code.ts'
import { linesOf, mostFrequent } from './most-frequent.ts'
import { skippedNote, type Tally } from './tally.ts'
import type { Talk } from './talk.ts'

/** The command that continues. */
export interface Next {
  readonly words: readonly string[]
  /**
   * What input it needs: the same as before, for a pipe that has to be fed again from its start, or the whole of what ended too
   * early.
   */
  readonly input?: 'same' | 'whole'
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
  if (skipped > 0) talk.info(skippedNote(skipped))
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
  talk.info(`job ${name}: ${tally}${more}`)
  for (const line of linesOf(await mostFrequent(store.folder, state.sources, tally.failures)))
    talk.info(line)
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

/** The command that continues after an error: where a file of rows is not this job's any more, it names another one. */
export async function nextAfter(error: unknown, next: Next | undefined): Promise<Next | undefined> {
  if (!next || !(error instanceof BatchStreamError) || error.code !== 'CBS_OUTPUT') return next
  const { option, place } = error
  if (option === undefined || place?.source === undefined) return next
  return { ...next, words: [...next.words, `--${option}`, await freeNameLike(place.source)] }
}

/** A path like the given one where nothing is yet, in the working directory if there is no such folder. */
async function freeNameLike(path: string): Promise<string> {
  const { dir, name, ext } = parse(path)
  const folder = (await nodeDisk.look(dir).catch(() => undefined)) === 'folder' ? dir : ''
  for (let number = 2; ; number++) {
    const free = join(folder, `${name}-${number}${ext}`)
    if ((await nodeDisk.look(free)) === undefined) return free
  }
}

/** The input that the user has to provide for a job to continue. */
export function inputNeeded(state: JobState, isPipe: boolean): Next['input'] {
  const { complete, broken } = state.kept
  if (broken === null) return isPipe && !complete ? 'same' : undefined
  // What is left to do for records of a pipe needs no input: it comes first.
  return isPipe && hasWorkLeft(state) ? undefined : 'whole'
}

export function sayNext(talk: Talk, { words, input, retries }: Next): void {
  const resumes = {
    none: 'to continue',
    same: 'to continue, with the same input again',
    whole: 'to continue, once the whole input is there (rows that were paid for are kept)',
  }[input ?? 'none']
  const how = retries ? 'to retry the failed rows' : resumes
  talk.warn(`${how}: ${commandLine(words)}`, { next: words })
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
