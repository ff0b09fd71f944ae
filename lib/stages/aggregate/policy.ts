import { MAX_REQUESTS } from '../../core/limits.ts'
import { BETWEEN_BYTES, FRAME_BYTES } from '../../store/batch-files.ts'

/** How large a batch may get. */
export interface BatchLimits {
  readonly count: number
  readonly bytes: number
}

/** What the open batch holds so far. */
export interface BatchFill {
  readonly requests: number
  readonly bytes: number
  /** Rows that it will give, those of rejected records included. */
  readonly records: number
}

/** Must the open batch be sealed before a request of `next` bytes goes in? A request that fits nowhere goes alone. */
export function isFull(open: BatchFill, next: number, limits: BatchLimits): boolean {
  if (open.records >= MAX_REQUESTS) return true
  if (open.requests === 0) return false
  return open.requests >= limits.count || open.bytes + BETWEEN_BYTES + next > limits.bytes
}

/** The size of a body that holds one request. */
export function bytesAlone(request: number): number {
  return FRAME_BYTES + request
}
