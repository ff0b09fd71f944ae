import { setImmediate } from 'node:timers/promises'
import { storedJob } from '../job.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { rejectionsOf } from '../batch-files.ts'
import { Repeats } from '../repeats.ts'
import { Reused, ReusedAnswers } from '../reused.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { DedupeAnswers } from './dedupe-answers.ts'
import { EarlierAttempts } from './earlier-attempts.ts'
import type { Ids } from './ids.ts'
import { ResultLines } from './lines.ts'
import { repeated } from './repeated.ts'
import { PageReader } from './page-reader.ts'
import { Result } from '../../core/results/result.ts'
import type { ResultPage } from '../../core/results/result-page.ts'
import { SKIPPED } from '../../core/answered.ts'
import { unanswered } from '../../core/results/status.ts'

/** How many rows are yielded at a time, so that a row costs no promise. */
const BLOCK = 64

/** The most bytes of rows that are yielded at a time, since an answer may have megabytes. */
const BLOCK_BYTES = 256 * 1024

/**
 * The rows of a batch whose results are on disk, in input order: pages, and small blocks of results that fit on no page. Answers whose
 * check is slow are checked here, one at a time, until the signal aborts.
 */
export async function* rowsOf(
  batch: EndedBatch,
  ids: Ids,
  check?: AnswerCheck,
  signal?: AbortSignal,
): AsyncGenerator<ResultPage | readonly Result[]> {
  const earlier =
    batch.attempt > 1 ? new EarlierAttempts(storedJob(batch.job), batch.attempt, check) : undefined
  try {
    for await (const stored of storedRows(batch, ids, check)) {
      const rows = (await earlier?.completed(stored)) ?? stored
      if (check?.isSlow)
        for (const result of rows) {
          if (signal?.aborted) return
          // It is read here so that it is known from now on.
          void result.checked
          await setImmediate()
        }
      yield rows
    }
  } finally {
    await earlier?.close()
  }
}

async function* storedRows(
  batch: EndedBatch,
  ids: Ids,
  check: AnswerCheck | undefined,
): AsyncGenerator<ResultPage | Result[]> {
  const { number } = batch
  const job = storedJob(batch.job)
  const known = job.batch(number)
  const { requests, records, fetched } = known
  const rejected = await rejectionsOf(job.store, known)
  const repeats = await Repeats.of(job.store, known)
  const reused = await Reused.of(job.store, known)
  const firsts = new DedupeAnswers(job.store, job.state.batches.values(), batch.attempt)
  const why = unanswered(fetched?.why)
  const reader = job.store.records.reader(job)
  const files =
    fetched && fetched.lines > 0 ? await ResultLines.open(job.store, number, requests) : undefined
  const earlier = reused.count > 0 ? await ReusedAnswers.open(job.store, number, reused) : undefined
  const pages = files && new PageReader(batch, ids, files, reader, check)
  let position = 0
  let rejection = 0
  let repeat = 0
  let reuse = 0
  let block: Result[] = []
  let bytes = 0
  try {
    for (let row = 1; row <= records; row++) {
      const last = row === records
      const ordinal = position < requests ? ids.ordinalAt(position) : undefined
      const refused = rejected[rejection]
      const shared = repeats.ordinalAt(repeat)
      const taken = reused.ordinalAt(reuse)
      const next = Math.min(ordinal ?? Infinity, refused?.ordinal ?? Infinity)
      if (earlier && taken !== undefined && taken < Math.min(next, shared ?? Infinity)) {
        const record =
          reader.tryReadSync(taken, batch.attempt) ?? (await reader.read(taken, batch.attempt))
        const answer = earlier.tryReadSync(reuse) ?? (await earlier.read(reuse))
        const { raw } = answer
        block.push(new Result({ batch, customId: null, record, raw, reused: answer, last, check }))
        reuse += 1
      } else if (shared !== undefined && shared < next) {
        const record =
          reader.tryReadSync(shared, batch.attempt) ?? (await reader.read(shared, batch.attempt))
        const answer = await firsts.of(repeats.firstAt(repeat))
        block.push(repeated(batch, record, answer, { last, check }))
        repeat += 1
      } else if (refused && (ordinal === undefined || refused.ordinal < ordinal)) {
        const { ordinal: at, custom_id, type, message } = refused
        const record =
          reader.tryReadSync(at, batch.attempt) ?? (await reader.read(at, batch.attempt))
        const status = type === SKIPPED ? ('skipped' as const) : ('rejected' as const)
        const without = { status, problem: { type, message } }
        block.push(new Result({ batch, customId: custom_id, record, raw: null, without, last }))
        rejection += 1
      } else {
        const page = await pages?.read(position, records - row + 1)
        if (page) {
          if (block.length > 0) yield block
          block = []
          bytes = 0
          yield page
          position += page.count
          row += page.count - 1
          continue
        }
        const record =
          ordinal === undefined
            ? undefined
            : (reader.tryReadSync(ordinal, batch.attempt) ??
              (await reader.read(ordinal, batch.attempt)))
        const raw = files ? (files.tryReadSync(position) ?? (await files.read(position))) : null
        block.push(
          new Result({
            batch,
            customId: raw ? null : (ids.idAt(position) ?? null),
            record,
            raw,
            last,
            check,
            without: raw ? undefined : { status: 'unanswered', problem: why },
          }),
        )
        position += 1
      }
      bytes += block.at(-1)?.raw?.length ?? 0
      if (block.length < BLOCK && bytes < BLOCK_BYTES && !last) continue
      yield block
      block = []
      bytes = 0
    }
  } finally {
    await files?.close()
    await earlier?.close()
    await firsts.close()
  }
}
