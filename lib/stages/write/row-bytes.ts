/** Rows are slices of slabs of this size, so that a row costs no allocation; a longer row has a slab of its own. */
const SLAB = 64 * 1024

/** The maximum bytes of a UTF-16 code unit in UTF-8. */
const MAX_BYTES_PER_CHAR = 3

/** Up to this many bytes, a loop is faster than a native copy. */
const COPY_LOOP_BYTES = 32

/** Builds rows from texts and byte ranges. The memory of a finished row is never written again. */
export class RowBytes {
  #slab: Buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** Begins a row and discards an unfinished one. */
  begin(): this {
    this.#end = this.#start
    return this
  }

  text(piece: string): this {
    this.#makeRoom(piece.length * MAX_BYTES_PER_CHAR)
    this.#end += this.#slab.write(piece, this.#end)
    return this
  }

  bytes(from: Uint8Array, start: number = 0, end: number = from.length): this {
    const length = end - start
    this.#makeRoom(length)
    const slab = this.#slab
    const at = this.#end
    if (length > COPY_LOOP_BYTES) slab.set(from.subarray(start, end), at)
    else
      // Every index is in range.
      for (let index = 0; index < length; index++) slab[at + index] = from[start + index] as number
    this.#end = at + length
    return this
  }

  /** Finishes and returns the row. */
  take(): Buffer {
    const row = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    return row
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return
    const begun = this.#slab.subarray(this.#start, this.#end)
    const needed = begun.length + bytes
    // Leave space, so that what follows a long answer does not move it again.
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, needed + (needed >> 3)))
    this.#slab.set(begun)
    this.#start = 0
    this.#end = begun.length
  }
}
