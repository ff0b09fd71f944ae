/** Rows are cut from pieces of memory of this size, so that a row costs no allocation; a longer row has one of its own. */
const SLAB = 64 * 1024

/** A character takes at most so many bytes of UTF-8. */
const MAX_BYTES_PER_CHAR = 3

/** So many bytes are copied here before a native copy is worth its call. */
const COPY_LOOP_BYTES = 32

/** Puts rows together, texts and stretches of other bytes, each row a piece of memory that nothing else is written to. */
export class RowBytes {
  #slab: Buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** Begins a row; what is left of one that came to no end is forgotten. */
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
      for (let index = 0; index < length; index++) slab[at + index] = from[start + index] as number
    this.#end = at + length
    return this
  }

  /** The row; what comes next belongs to the next one. */
  take(): Buffer {
    const row = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    return row
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return
    const begun = this.#slab.subarray(this.#start, this.#end)
    const needed = begun.length + bytes
    // What stands behind an answer of megabytes must not move it again.
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, needed + (needed >> 3)))
    this.#slab.set(begun)
    this.#start = 0
    this.#end = begun.length
  }
}
