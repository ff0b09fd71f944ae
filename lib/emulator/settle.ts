import type { MessageParams } from '../core/flow.ts'
import { requestKey, type Answer, type Respond } from './answers.ts'
import { fateOf, type Batch, type Settled, type OutcomeCounts } from './batches.ts'
import { erroredRow } from './batch-fault.ts'
import { messageFor } from './message.ts'
import { checkParams } from './params.ts'
import { hashOfHex, type SeenCounts } from './seen.ts'
import type { EmulatorSpool, SpoolWriter } from './spool.ts'
import type { AcceptedRequest } from './validate.ts'

/** The outcome of a request as one byte; 0 means that its batch has not ended. */
export const OUTCOMES = ['processing', 'succeeded', 'errored', 'canceled', 'expired'] as const

type OutcomeCode = 1 | 2 | 3 | 4

/** The state that processing a batch needs. */
export interface BatchProcessor {
  readonly spool: EmulatorSpool
  readonly respond: Respond | undefined
  /** How often equal params were processed. */
  readonly asked: SeenCounts
  /** Prefixes in the prompt cache. */
  readonly cached: SeenCounts
}

/** A row of the results. */
interface ResultRow {
  readonly custom_id: string
  readonly outcome: OutcomeCode
  readonly result: object
}

/** Concurrent answers of an asynchronous `respond`. */
const AT_ONCE = 64

/**
 * Answers the requests of an ended batch in order, each once, and writes its result lines. It reads the batch's file block
 * by block, so memory does not depend on the batch's size.
 */
export async function settle(batch: Batch, workshop: BatchProcessor): Promise<Settled> {
  const results = new ResultWriter(batch, await workshop.spool.create())
  let index = 0
  let waiting: Promise<ResultRow>[] = []
  const catchUp = async (): Promise<void> => {
    for (const row of await Promise.all(waiting)) await results.add(row)
    waiting = []
  }
  for await (const block of batch.spool.read()) {
    for (const bytes of block) {
      // It was checked when the batch was created.
      const request = JSON.parse(bytes.toString()) as AcceptedRequest
      const row = rowFor(batch, index++, request, workshop)
      if (row instanceof Promise) {
        if (waiting.push(row) === AT_ONCE) await catchUp()
        continue
      }
      if (waiting.length > 0) await catchUp()
      const wait = results.add(row)
      if (wait) await wait
    }
  }
  await catchUp()
  return results.end()
}

/** Writes rows in request order and counts them. */
class ResultWriter {
  readonly #writer: SpoolWriter
  readonly #outcomes: Uint8Array
  readonly #counts: Record<OutcomeCode, number> = { 1: 0, 2: 0, 3: 0, 4: 0 }
  #index = 0

  constructor(batch: Batch, writer: SpoolWriter) {
    this.#writer = writer
    this.#outcomes = new Uint8Array(batch.requests)
  }

  add({ outcome, custom_id, result }: ResultRow): Promise<void> | undefined {
    this.#outcomes[this.#index++] = outcome
    this.#counts[outcome]++
    return this.#writer.add(Buffer.from(JSON.stringify({ custom_id, result })))
  }

  async end(): Promise<Settled> {
    const { 1: succeeded, 2: errored, 3: canceled, 4: expired } = this.#counts
    const tally: OutcomeCounts = { succeeded, errored, canceled, expired }
    return { tally, outcomes: this.#outcomes, lines: await this.#writer.end() }
  }
}

function rowFor(
  batch: Batch,
  index: number,
  request: AcceptedRequest,
  workshop: BatchProcessor,
): ResultRow | Promise<ResultRow> {
  const { params, custom_id } = request
  const id = (prefix: string): string => rowId(prefix, batch, index)
  const fate = fateOf(batch, index)
  if (fate !== 'answered') return unanswered(custom_id, fate)
  const wrong = checkParams(params, { kind: 'batch', ...batch })
  if (wrong) return errored(custom_id, id('req'), wrong)
  const faults = batch.fault.errored ?? []
  const counted = workshop.respond !== undefined || faults.length > 0
  const attempt = counted ? workshop.asked.add(hashOfHex(requestKey(params))) : 1
  const json = JSON.stringify(params)
  const failing = erroredRow(faults, index, json, attempt)
  if (failing) return errored(custom_id, id('req'), failing)

  const row = (answer: Answer | undefined): ResultRow => {
    if (typeof answer === 'object' && !Array.isArray(answer)) {
      if ('error' in answer) return errored(custom_id, id('req'), answer.error)
      if ('expired' in answer) return unanswered(custom_id, 'expired')
      if ('canceled' in answer) return unanswered(custom_id, 'canceled')
    }
    const message = messageFor(
      { id: id('msg'), params, json, tier: 'batch', cached: workshop.cached },
      answer,
    )
    return { custom_id, outcome: 1, result: { type: 'succeeded', message } }
  }
  if (!workshop.respond) return row(undefined)
  const failed = (cause: unknown): ResultRow => {
    return errored(custom_id, id('req'), {
      type: 'api_error',
      message: `respond threw: ${String(cause)}`,
    })
  }
  try {
    // checkParams ensured what the type promises.
    const answer = workshop.respond(params as unknown as MessageParams, { custom_id, attempt })
    return answer instanceof Promise ? answer.then(row).catch(failed) : row(answer)
  } catch (cause) {
    return failed(cause)
  }
}

function unanswered(custom_id: string, type: 'expired' | 'canceled'): ResultRow {
  return { custom_id, outcome: type === 'expired' ? 4 : 3, result: { type } }
}

function errored(
  custom_id: string,
  request_id: string,
  { type, message }: { type: string; message: string },
): ResultRow {
  const error = { type: 'error', error: { type, message }, request_id }
  return { custom_id, outcome: 2, result: { type: 'errored', error } }
}

/** An id made of the batch's id and the row's position: cheaper than a hash for a million rows. */
function rowId(prefix: string, batch: Batch, index: number): string {
  return `${prefix}_01${batch.id.slice(-16)}${index.toString(36).padStart(6, '0')}`
}
