import { setImmediate } from 'node:timers/promises'
import type { EndedBatch } from '../../core/flow.ts'
import { sentIn } from '../sent-records.ts'
import { batchPath, type BatchFile } from '../batch-path.ts'
import { rejectionsOf, type Rejection } from '../batch-files.ts'
import { OrdinalSet } from '../ordinal-set.ts'
import { nodeDisk } from '../disk.ts'
import type { JobOnDisk } from '../inspect.ts'
import { OrdinalReader } from '../ordinals.ts'
import { Repeats } from '../repeats.ts'
import { Reused, ReusedAnswers, type EarlierAnswer } from '../reused.ts'
import type { BatchState } from '../../core/job/state.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { DedupeAnswers } from './dedupe-answers.ts'
import { ResultLines } from './lines.ts'
import { Result, type ResultParts } from '../../core/results/result.ts'
import { unanswered } from '../../core/results/status.ts'

/** Metadata about a stored answer. */
export interface AnswerMetadata {
  readonly batch: BatchState
  /** The ordinal of its record. */
  readonly ordinal: number
  /** True if its request was sent, which is false for a rejected record, a repeat and a reused answer. */
  readonly isAsked: boolean
  /** Whether the record's row has it: the newest answer, or the last result of a record for which no attempt brought one. */
  readonly isNewest: boolean
  /** False if the result of a later attempt of the record is also stored. */
  readonly isLast: boolean
}

/**
 * Visits each stored answer, including those that were retried later, in one pass over the stored result sets and without the
 * job's lock. The results have their line, or the reason why there is none, but neither a record nor a batch.
 */
export async function eachKeptAnswer(
  { folder, state }: Pick<JobOnDisk, 'folder' | 'state'>,
  check: AnswerCheck | undefined,
  tell: (result: Result, kept: AnswerMetadata) => void,
): Promise<void> {
  const files = {
    disk: nodeDisk,
    path: (number: number, what: BatchFile): string => batchPath(folder, number, what),
  }
  // By attempt, so that the records retried later are collected once per attempt.
  const here = [...(state?.batches.values() ?? [])]
    .filter(batch => batch.fetched !== null)
    .sort((a, b) => a.attempt - b.attempt)
  let attempt = 0
  let later = new OrdinalSet()
  let answeredLater = new OrdinalSet()
  const answeredEarlier = new OrdinalSet()
  for (const batch of here) {
    if (batch.attempt !== attempt) {
      attempt = batch.attempt
      const after = here.filter(other => other.attempt > attempt)
      later = await sentIn(files, after)
      answeredLater = await answeredIn(files, after)
    }
    const give = (parts: Parts, ordinal: number, isAsked: boolean): Promise<void> | void => {
      const result = new Result({ ...UNTOLD, ...parts, check })
      const isLast = !later.has(ordinal)
      let isNewest = isLast
      // Most records are sent once.
      if (!isLast || attempt > 1) {
        const { hasAnswer } = result
        isNewest = hasAnswer ? !answeredLater.has(ordinal) : isLast && !answeredEarlier.has(ordinal)
        if (hasAnswer) answeredEarlier.add(ordinal)
      }
      tell(result, { batch, ordinal, isAsked, isNewest, isLast })
      // Otherwise an answer costs no promise.
      if (check?.isSlow) return setImmediate()
    }
    for (const rejection of await rejectionsOf(files, batch))
      give(rejected(rejection), rejection.ordinal, false)
    await eachLine(files, batch, (raw, ordinal) => give(answered(raw, batch), ordinal, true))
    await eachReused(files, batch, (answer, ordinal) =>
      give({ raw: answer.raw, reused: answer }, ordinal, false),
    )
    const firsts = new DedupeAnswers(files, here, batch.attempt)
    try {
      for (const { ordinal, of } of await Repeats.of(files, batch)) {
        const first = await firsts.of(of)
        const parts = first.rejection ? rejected(first.rejection) : answered(first.raw, first.batch)
        await give({ ...parts, answeredIn: NOWHERE }, ordinal, false)
      }
    } finally {
      await firsts.close()
    }
  }
}

/** The records for which these batches have an answer. */
async function answeredIn(
  files: Parameters<typeof ResultLines.open>[0],
  batches: readonly BatchState[],
): Promise<OrdinalSet> {
  const answered = new OrdinalSet()
  for (const batch of batches)
    await eachLine(files, batch, (raw, ordinal) => {
      if (raw && new Result({ ...UNTOLD, raw }).hasAnswer) answered.add(ordinal)
    })
  return answered
}

type Parts = Pick<ResultParts, 'raw' | 'without' | 'answeredIn' | 'reused'>

// Only the line of these results is read.
const NOWHERE = {} as EndedBatch
const UNTOLD = { batch: NOWHERE, customId: null, record: undefined, last: false } as const

function rejected({ type, message }: Rejection): Parts {
  return { raw: null, without: { status: 'rejected', problem: { type, message } } }
}

function answered(raw: Buffer | null, { fetched }: BatchState): Parts {
  return raw
    ? { raw }
    : { raw, without: { status: 'unanswered', problem: unanswered(fetched?.why) } }
}

async function eachReused(
  files: Parameters<typeof ResultLines.open>[0],
  batch: BatchState,
  give: (answer: EarlierAnswer, ordinal: number) => Promise<void> | void,
): Promise<void> {
  const reused = await Reused.of(files, batch)
  if (reused.count === 0) return
  const answers = await ReusedAnswers.open(files, batch.number, reused)
  try {
    for (const [index, ordinal] of reused.ordinals())
      await give(answers.tryReadSync(index) ?? (await answers.read(index)), ordinal)
  } finally {
    await answers.close()
  }
}

async function eachLine(
  files: Parameters<typeof ResultLines.open>[0],
  batch: BatchState,
  give: (raw: Buffer | null, ordinal: number) => Promise<void> | void,
): Promise<void> {
  const { number, requests, fetched } = batch
  await OrdinalReader.use(files, batch, async members => {
    const lines =
      fetched && fetched.lines > 0 ? await ResultLines.open(files, number, requests) : undefined
    try {
      for (let position = 0; position < requests; position++) {
        const raw = lines?.tryReadSync(position) ?? (await lines?.readOn(position)) ?? null
        const turn = give(raw, await members.at(position))
        if (turn) await turn
      }
    } finally {
      await lines?.close()
    }
  })
}
