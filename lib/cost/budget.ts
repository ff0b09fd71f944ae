import type { BatchState, Phase } from '../core/job/state.ts'
import { compareByRecord } from '../core/job/earliest.ts'

/** How a job stands against its cap; amounts in femtodollars. */
export interface Standing {
  /** What the answers that are here were billed. */
  readonly spent: bigint
  /** The worst case of what has been sent, or may have been, and whose answers are not here, or never came. */
  readonly reserved: bigint
  /** Batches in flight whose end will set something free. */
  readonly open: number
  /** Nobody knows what a batch can cost: it was sent without a cap, or came back with a model that has no price. */
  readonly isUnknown: boolean
}

/** `send` the batch fits; `wait` it may, when what is in flight has ended; `stop` it never will. */
export type CapDecision = 'send' | 'wait' | 'stop'

/** May a batch that can cost `worst` be sent, so that even at the worst of everything the cap is kept? */
export function judge(cap: bigint, standing: Standing, worst: bigint): CapDecision {
  const { spent, reserved, open, isUnknown } = standing
  if (!isUnknown && spent + reserved + worst <= cap) return 'send'
  return open > 0 ? 'wait' : 'stop'
}

const IN_FLIGHT: ReadonlySet<Phase> = new Set(['armed', 'submitted', 'ended'])

/** Where a job stands, as one of its batches sees it that is to be sent next. */
export function standingOf(
  batches: Iterable<BatchState>,
  spentOn: ReadonlyMap<number, bigint | null>,
  next: BatchState,
): Standing {
  let spent = 0n
  let reserved = 0n
  let open = 0
  let isUnknown = false
  for (const batch of batches) {
    const { number, phase } = batch
    if (number === next.number || phase === 'void') continue
    const paid = spentOn.get(number) ?? null
    const isSent = phase !== 'sealed'
    // Answers that never came may have been billed all the same.
    if (batch.reserved !== undefined && (paid === null || isShort(batch)))
      reserved += BigInt(batch.reserved)
    else if (paid !== null) spent += paid
    else if (isSent) isUnknown = true
    // Rows in input order wait for those before them: what has ended behind this batch comes only after it.
    if (IN_FLIGHT.has(phase) && !(phase === 'ended' && compareByRecord(batch, next) > 0)) open += 1
  }
  return { spent, reserved, open, isUnknown }
}

/** Whether answers of a batch are missing for good. */
export function isShort({ fetched }: Pick<BatchState, 'fetched'>): boolean {
  return fetched !== null && fetched.why !== null
}
