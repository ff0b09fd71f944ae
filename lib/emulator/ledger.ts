import { requestKey } from './answers.ts'
import { statusOf, type Batch, type ProcessingStatus, type Settled } from './batches.ts'
import type { Call, CallCount } from './call-log.ts'
import { rfc3339 } from './clock.ts'
import { hashOfHex, SeenCounts } from './seen.ts'
import type { Service } from './service.ts'
import { OUTCOMES } from './settle.ts'
import type { AcceptedRequest } from './validate.ts'

/** A batch that was accepted, whether or not its client received the reply. */
export interface LedgerBatch {
  /** The batch id. */
  readonly id: string
  /** From 1 in order of creation. */
  readonly number: number
  /** Its number of requests. */
  readonly requests: number
  /** Size of the create's body in bytes. */
  readonly bytes: number
  /** RFC 3339, by the emulator's clock. */
  readonly created_at: string
  /** The workspace of the key that created it. */
  readonly workspace: string
  /** Whether it is processed, is being canceled, or has ended. */
  readonly state: ProcessingStatus
  /** Whether a client has deleted it. */
  readonly deleted: boolean
}

/** A request that was accepted. */
export interface LedgerRequest {
  /** The id of its batch. */
  readonly batch_id: string
  /** The number of its batch, from 1 in order of creation. */
  readonly batch: number
  /** Its position in the batch, from 0. */
  readonly index: number
  /** The custom_id that the client chose. */
  readonly custom_id: string
  /** `requestKey(params)`: equal for requests with equal params. */
  readonly key: string
  /** How it ended. */
  readonly outcome: (typeof OUTCOMES)[number]
  /** True for a request that succeeded; nothing else is billed. */
  readonly billed: boolean
}

/** How often something was accepted and how often it was billed. */
export interface LedgerCount {
  /** How often it was accepted. */
  readonly accepted: number
  /** How often it was billed. */
  readonly billed: number
}

/** Totals of everything that was accepted. */
export interface LedgerTotals {
  /** Accepted batches. */
  readonly batches: number
  /** Accepted requests, including repeats. */
  readonly accepted: number
  /** Billed requests, including repeats. */
  readonly billed: number
  /** Distinct requests, by their params. */
  readonly distinct: number
  /** Distinct requests that were accepted more than once. */
  readonly acceptedTwice: number
  /** Distinct requests that were billed more than once. */
  readonly billedTwice: number
}

/**
 * What the emulator accepted and billed, to check a client's own accounting. It includes every accepted request, even of
 * deleted batches and of creates that were answered with an error, but not the batches of other tools. It is computed from
 * disk on demand, so it takes no memory.
 */
export class Ledger {
  readonly #service: Service

  constructor(service: Service) {
    this.#service = service
  }

  /** Every batch, oldest first. */
  batches(): LedgerBatch[] {
    const now = this.#service.now()
    return this.#own().map(batch => ({
      id: batch.id,
      number: batch.number,
      requests: batch.requests,
      bytes: batch.bytes,
      created_at: rfc3339(batch.createdAt, batch.number),
      workspace: batch.workspace,
      state: statusOf(batch, now),
      deleted: batch.deletedAt !== null,
    }))
  }

  /** Every request of every batch, in the order of acceptance. */
  async *requests(): AsyncGenerator<LedgerRequest> {
    for (const batch of this.#own()) {
      const settled = await this.#service.settledOf(batch)
      let index = 0
      for await (const block of batch.spool.read()) {
        for (const bytes of block) {
          // It was checked when the batch was created.
          const { custom_id, params } = JSON.parse(bytes.toString()) as AcceptedRequest
          const outcome = outcomeOf(settled, index)
          const key = requestKey(params)
          yield {
            batch_id: batch.id,
            batch: batch.number,
            index,
            custom_id,
            key,
            outcome,
            billed: outcome === 'succeeded',
          }
          index++
        }
      }
    }
  }

  /** How often each distinct request was accepted and billed, by `requestKey(params)`. */
  byRequest(): Promise<Map<string, LedgerCount>> {
    return this.#countBy(request => request.key)
  }

  /** How often each custom_id was accepted and billed. */
  byCustomId(): Promise<Map<string, LedgerCount>> {
    return this.#countBy(request => request.custom_id)
  }

  /** The totals, in little memory for any number of requests. */
  async totals(): Promise<LedgerTotals> {
    const accepted = new SeenCounts()
    const billed = new SeenCounts()
    const sums = { accepted: 0, billed: 0, distinct: 0, acceptedTwice: 0, billedTwice: 0 }
    for await (const request of this.requests()) {
      const hash = hashOfHex(request.key)
      const times = accepted.add(hash)
      sums.accepted++
      if (times === 1) sums.distinct++
      if (times === 2) sums.acceptedTwice++
      if (!request.billed) continue
      sums.billed++
      if (billed.add(hash) === 2) sums.billedTwice++
    }
    return { batches: this.#own().length, ...sums }
  }

  /** The calls by operation and status; status 0 is a broken connection. */
  calls(): CallCount[] {
    return this.#service.calls.counts()
  }

  /** The last 10,000 calls, in the order of their replies. */
  lastCalls(): readonly Call[] {
    return this.#service.calls.last()
  }

  #own(): Batch[] {
    return this.#service.batches.filter(batch => batch.number > 0)
  }

  async #countBy(name: (request: LedgerRequest) => string): Promise<Map<string, LedgerCount>> {
    const counts = new Map<string, LedgerCount>()
    for await (const request of this.requests()) {
      const { accepted, billed } = counts.get(name(request)) ?? { accepted: 0, billed: 0 }
      counts.set(name(request), {
        accepted: accepted + 1,
        billed: billed + (request.billed ? 1 : 0),
      })
    }
    return counts
  }
}

function outcomeOf(settled: Settled | undefined, index: number): LedgerRequest['outcome'] {
  if (!settled) return 'processing'
  // settle() writes one of these codes for every request.
  return OUTCOMES[settled.outcomes[index] as 1 | 2 | 3 | 4]
}
