import type { Job } from '../job/job.ts'
import { BatchStreamError } from '../errors.ts'
import { EXIT } from './exit-code.ts'
import { commandLine } from './shell.ts'
import { skippedNote, type Tally } from './tally.ts'
import type { Talk } from './talk.ts'

/** The command that continues. */
export interface Next {
  readonly words: readonly string[]
  /** It reads a pipe, which has to be fed the same input from its start. */
  readonly piped?: boolean
}

/** How a command ends: its exit code, and what continues. */
export interface Ending {
  readonly code: number
  readonly next?: Next | undefined
}

/** Closes the books of a run whose every row is out: one row for each record, or it is a bug that must not stay hidden. */
export async function finish(
  job: Job,
  tally: Tally,
  talk: Talk,
  flags: readonly string[],
): Promise<Ending> {
  if (tally.rows !== job.records.count) {
    throw new BatchStreamError(
      'CBS_STAGE',
      `job ${job.name} has ${job.records.count} records and gave ${tally.rows} rows; please report this`,
    )
  }
  if (!job.state.finished) await job.note({ type: 'finished', at: job.clock.now() }, true)
  talk.say(`job ${job.name}: ${tally}`)
  const { skipped = 0 } = tally.byStatus()
  if (skipped > 0) talk.say(skippedNote(skipped))
  if (tally.failed === 0) return { code: EXIT.answered }
  if (tally.failed === skipped) return { code: EXIT.someFailed }
  return { code: EXIT.someFailed, next: { words: ['retry', job.name, ...flags] } }
}

export function sayNext(talk: Talk, { words, piped }: Next): void {
  const how = piped ? 'to continue, with the same input again' : 'to continue'
  talk.must(`${how}: ${commandLine(words)}`, { next: words })
}
