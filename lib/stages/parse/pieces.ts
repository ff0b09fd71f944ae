const NOTHING = Buffer.alloc(0)

/** Pieces are joined up to this size, so that tiny chunks do not cost an object each. */
const PIECE_BYTES = 65_536

/** Collects the bytes of something unfinished and joins them once, in linear time for any chunks. */
export class Pieces {
  #list: Buffer[] = []
  #bytes = 0

  /** The number of bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** The first byte. */
  get first(): number | undefined {
    return this.#list[0]?.[0]
  }

  /** Whether it starts with these few bytes. */
  startWith(bytes: Buffer): boolean {
    const first = this.#list[0] ?? NOTHING
    // The first piece is this short only at the start.
    const start = first.length < bytes.length ? this.joined() : first
    return start.subarray(0, bytes.length).equals(bytes)
  }

  push(piece: Buffer): void {
    this.#bytes += piece.length
    let last = piece
    for (let before = this.#list.at(-1); before; before = this.#list.at(-1)) {
      if (before.length > last.length || last.length >= PIECE_BYTES) break
      this.#list.pop()
      last = Buffer.concat([before, last])
    }
    this.#list.push(last)
  }

  /** All bytes as one buffer, which is kept. */
  joined(): Buffer {
    if (this.#list.length > 1) this.#list = [Buffer.concat(this.#list)]
    return this.#list[0] ?? NOTHING
  }

  /** All bytes as one buffer, which is removed. */
  take(): Buffer {
    const bytes = this.joined()
    this.#list = []
    this.#bytes = 0
    return bytes
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    if (count === 0) return
    const rest = this.take().subarray(count)
    if (rest.length > 0) this.push(rest)
  }

  /** Keeps only the first `count` bytes, as a copy that releases the original. */
  cut(count: number): void {
    this.push(Buffer.from(this.take().subarray(0, count)))
  }
}
