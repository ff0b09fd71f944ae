import { join, parse } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { nodeDisk } from '../store/disk.ts'
import type { JobState } from '../core/job/state.ts'
import { hasWorkLeft } from './job-work.ts'
import type { StoredJob } from '../store/job.ts'
import { EXIT } from './exit-code.ts'
import { linesOf, mostFrequent } from './most-frequent.ts'
import { skippedNote, type RowTally } from './tally.ts'
import type { Talk } from './talk.ts'

/** The command that continues. */
export interface Next {
  readonly words: readonly string[]
  /**
   * The input that it needs: the same as before, for a pipe that must be read again from its start, or the complete input
   * if it ended too early.
   */
  readonly input?: 'same' | 'whole'
  /** Whether it retries failed rows of a finished job. */
  readonly retries?: boolean
  /** Batches that may be the job's: the user decides with --adopt. */
  readonly undecided?: readonly string[]
}

/** The batches of the API that the user has to decide about, for the command that continues. */
export function undecidedIn({ queue }: Pick<StoredJob, 'queue'>): Pick<Next, 'undecided'> {
  const undecided = [...new Set([...queue.undecided.values()].flat())]
  return undecided.length > 0 ? { undecided } : {}
}

/** The end of a command: its exit code, and the command that continues. */
export interface Ending {
  readonly code: number
  readonly next?: Next | undefined
}

/** Finishes a run after all rows are written. A missing row is a bug that must not be hidden. */
export async function finish(
  job: StoredJob,
  tally: RowTally,
  talk: Talk,
  flags: readonly string[],
): Promise<Ending> {
  await job.finish(tally.rows)
  await reportTally(job, tally, talk)
  const { skipped = 0 } = tally.byStatus()
  if (skipped > 0) talk.info(skippedNote(skipped))
  if (tally.failed === 0) return { code: EXIT.answered }
  return failedEnding(job, tally, flags)
}

/** Reports the rows by status, and the most frequent failures. */
export async function reportTally(
  { name, store, state }: Pick<StoredJob, 'name' | 'store' | 'state'>,
  tally: RowTally,
  talk: Talk,
  more = '',
): Promise<void> {
  talk.info(`job ${name}: ${tally}${more}`)
  for (const line of linesOf(await mostFrequent(store.folder, state.sources, tally.failures)))
    talk.info(line)
}

/** The end of a command with failed rows, with the command that retries them if that can help. */
export function failedEnding(
  { name }: Pick<StoredJob, 'name'>,
  tally: RowTally,
  flags: readonly string[],
): Ending {
  if (!tally.isRetryable) return { code: EXIT.someFailed }
  return { code: EXIT.someFailed, next: { words: ['retry', name, ...flags], retries: true } }
}

/** The command that continues after an error. If an output file no longer belongs to this job, it names another one. */
export async function nextAfter(error: unknown, next: Next | undefined): Promise<Next | undefined> {
  if (!next || !(error instanceof BatchStreamError) || error.code !== 'CBS_OUTPUT') return next
  const { option, place } = error
  const isFile = option === 'output' || option === 'errors'
  if (!isFile || place?.source === undefined) return next
  return { ...next, words: [...next.words, `--${option}`, await freeNameLike(place.source)] }
}

/** A similar path where no file exists, in the working directory if its folder does not exist. */
async function freeNameLike(path: string): Promise<string> {
  const { dir, name, ext } = parse(path)
  const folder = (await nodeDisk.stat(dir).catch(() => undefined)) === 'folder' ? dir : ''
  const numbered = (number: number): string => join(folder, `${name}-${number}${ext}`)
  let number = 2
  while ((await nodeDisk.stat(numbered(number))) !== undefined) number += 1
  return numbered(number)
}

/** The input that the user must provide to continue the job. */
export function inputNeeded(state: JobState, isPipe: boolean): Next['input'] {
  const { complete, broken } = state.spooled
  if (broken === null) return isPipe && !complete ? 'same' : undefined
  // Records of a pipe that still have work need no input, so they come first.
  return isPipe && hasWorkLeft(state) ? undefined : 'whole'
}

export function printNext(talk: Talk, next: Next): void {
  const { words, input, retries, undecided } = next
  if (undecided) return printDecisions(talk, next, undecided)
  const resumes = {
    none: 'to continue',
    same: 'to continue, with the same input again',
    whole: 'to continue, once the input is complete (paid rows are kept)',
  }[input ?? 'none']
  const how = retries ? 'to retry the failed rows' : resumes
  talk.warn(`${how}: ${commandLine(words)}`, { next: words })
}

/** Prints a command for each decision that the user can make. */
function printDecisions(talk: Talk, { words, input }: Next, undecided: readonly string[]): void {
  const whose = undecided.length > 1 ? 'none of them belongs' : 'it does not belong'
  const same = input === undefined ? '' : ', with the same input again'
  for (const id of undecided) {
    const next = [...words, '--adopt', id]
    talk.warn(`if ${id} belongs to this job${same}: ${commandLine(next)}`, { next })
  }
  const next = [...words, '--adopt', 'none']
  talk.warn(`if ${whose} to this job${same}: ${commandLine(next)}`, { next })
}

/** Quotes a word for a shell. Control characters use $'...' of bash and zsh, so that the command stays on one line. */
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

/** A command line to copy. */
export function commandLine(words: readonly string[]): string {
  return ['claude-batch-stream', ...words].map(quote).join(' ')
}
