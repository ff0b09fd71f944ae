import { isShort, type BatchState, type JobState } from '../core/job/state.ts'
import { expectedOf } from './estimate.ts'
import type { PriceOf } from './price.ts'

/** Bytes of a request in a batch body besides its params: the custom_id and the JSON around it. */
const AROUND = 45

/** What all requests of a job share. */
export interface Common {
  readonly model: string
  readonly max_tokens: number
  readonly inference_geo?: unknown
}

/** The expected cost of a job in femtodollars, from the sizes in its journal; undefined if the price is unknown. */
export function estimateOf(state: JobState, common: Common, priceOf: PriceOf): bigint | undefined {
  const batches = firstTries(state)
  const covered = batches.reduce((sum, { records }) => sum + records, 0)
  const requests = batches.reduce((sum, batch) => sum + batch.requests, 0)
  const size = batches.reduce((sum, { bytes }) => sum + bytes, 0)
  if (requests === 0) return undefined
  const bytes = Math.max(0, size - requests * AROUND)
  const sum = expectedOf({ ...common, requests, bytes }, priceOf)
  // Spooled records that are not in a batch yet are expected to cost as much each.
  const all = BigInt(Math.max(covered, state.spooled.records))
  return sum === undefined ? undefined : (sum * all) / BigInt(covered)
}

/**
 * The reserve for batches in flight and for answers that never arrived, in femtodollars; undefined if no cap reserved
 * anything.
 */
export function reservedOf(state: JobState): bigint | undefined {
  const reserved = [...state.batches.values()].flatMap(batch => {
    const { phase, reserved, fetched } = batch
    const isFree = phase === 'void' || (fetched !== null && !isShort(batch))
    return reserved === undefined || isFree ? [] : [BigInt(reserved)]
  })
  return reserved.length === 0 ? undefined : reserved.reduce((sum, one) => sum + one)
}

function firstTries(state: JobState): BatchState[] {
  return [...state.batches.values()].filter(
    ({ attempt, phase }) => attempt === 1 && phase !== 'void',
  )
}
