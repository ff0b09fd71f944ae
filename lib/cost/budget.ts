import { isShort, type BatchState, type Phase } from '../core/job/state.ts'
import { compareByRecord } from '../core/job/earliest.ts'
import { AS_ESTIMATED, isHigher, raisedLike } from '../core/job/raised.ts'

/** A job's spending against its cap, in femtodollars. */
export interface Spending {
  /** Billed so far, by the answers that were received. */
  readonly spent: bigint
  /** The worst case of batches that were sent, or may have been, and whose answers are incomplete, raised by `raising`. */
  readonly reserved: bigint
  /** Batches in flight whose end will release a reservation. */
  readonly open: number
  /** Whether a batch was sent without a reservation and its cost is unknown: a price or the tokens of an answer are missing. */
  readonly isUnknown: boolean
  /** A batch that was sent without a reservation, and some of whose answers are lost, so that its cost is unknown for good. */
  readonly lost?: number
}

/** `send` the batch fits; `wait` it may fit once a batch in flight has ended; `stop` it never will. */
export type CapDecision = 'send' | 'wait' | 'stop'

/** Decides whether a batch with the worst case `worst` may be sent without ever exceeding the cap. */
export function judge(cap: bigint, spending: Spending, worst: bigint): CapDecision {
  const { spent, reserved, open, isUnknown } = spending
  if (!isUnknown && spent + reserved + worst <= cap) return 'send'
  return open > 0 ? 'wait' : 'stop'
}

const IN_FLIGHT: ReadonlySet<Phase> = new Set(['armed', 'submitted', 'ended'])

/** A job's spending, as seen from the batch that is to be sent next. */
export function spendingOf(
  batches: readonly BatchState[],
  spentOn: ReadonlyMap<number, bigint | null>,
  next: BatchState,
): Spending {
  let spent = 0n
  let reserved = 0n
  let open = 0
  let isUnknown = false
  let lost: number | undefined
  const raised = raising(batches, spentOn)
  for (const batch of batches) {
    const { number, phase } = batch
    if (number === next.number || phase === 'void') continue
    const paid = spentOn.get(number) ?? null
    const isSent = phase !== 'sealed'
    // Answers that never arrived may still have been billed.
    if (batch.reserved !== undefined && (paid === null || isShort(batch)))
      reserved += raised(BigInt(batch.reserved))
    else if (isShort(batch)) lost = number
    else if (paid !== null) spent += paid
    else if (isSent) isUnknown = true
    // Rows in input order wait for earlier ones, so a batch that ended behind this one is released only after it.
    if (IN_FLIGHT.has(phase) && !(phase === 'ended' && compareByRecord(batch, next) > 0)) open += 1
  }
  if (lost !== undefined) return { spent, reserved, open, isUnknown: true, lost }
  return { spent, reserved, open, isUnknown }
}

/**
 * Raises worst cases as far as the batch with the highest bill, relative to its own worst case, was billed above it: a gateway may bill
 * the requests of a batch as synchronous calls.
 */
export function raising(
  batches: readonly Pick<BatchState, 'number' | 'reserved'>[],
  spentOn: ReadonlyMap<number, bigint | null>,
): (worst: bigint) => bigint {
  let most = AS_ESTIMATED
  for (const { number, reserved } of batches) {
    const bill = { spent: spentOn.get(number) ?? 0n, reserved: BigInt(reserved ?? 0) }
    if (bill.reserved > 0n && isHigher(bill, most)) most = bill
  }
  return raisedLike(most)
}
