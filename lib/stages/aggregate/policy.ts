import { MAX_REQUESTS } from '../../core/limits.ts'
import { BETWEEN_BYTES, FRAME_BYTES } from '../../store/batch-files.ts'

/** The maximum size of a batch. */
export interface BatchLimits {
  readonly count: number
  readonly bytes: number
}

/** The current size of the open batch. */
export interface BatchFill {
  readonly requests: number
  readonly bytes: number
  /** Its number of rows, including those of rejected records. */
  readonly records: number
}

/** Whether the open batch must be sealed before a request of `next` bytes is added. An oversized request goes alone. */
export function isFull(open: BatchFill, next: number, limits: BatchLimits): boolean {
  if (open.records >= MAX_REQUESTS) return true
  if (open.requests === 0) return false
  return open.requests >= limits.count || open.bytes + BETWEEN_BYTES + next > limits.bytes
}

/** The size of a body that holds one request. */
export function bytesAlone(request: number): number {
  return FRAME_BYTES + request
}
