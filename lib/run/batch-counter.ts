import { isFull } from '../stages/aggregate/policy.ts'
import { BETWEEN_BYTES, FRAME_BYTES } from '../store/batch-files.ts'

/** Counts the batches that requests of these sizes would fill. */
export class BatchCounter {
  readonly #limits: { readonly count: number; readonly bytes: number }
  #open = { requests: 0, bytes: FRAME_BYTES, records: 0 }
  count = 0
  bytes = 0

  constructor(limits: { readonly count: number; readonly bytes: number }) {
    this.#limits = limits
  }

  add(bytes: number): void {
    if (this.count === 0 || isFull(this.#open, bytes, this.#limits)) {
      this.count += 1
      this.#open = { requests: 0, bytes: FRAME_BYTES, records: 0 }
    }
    const { requests, bytes: before, records } = this.#open
    this.#open = {
      requests: requests + 1,
      bytes: before + BETWEEN_BYTES + bytes,
      records: records + 1,
    }
    this.bytes += bytes
  }
}
