const NOTHING = Buffer.alloc(0)

/** Pieces are joined up to this size as they come, so that tiny chunks do not cost an object per byte. */
const PIECE_BYTES = 65_536

/** The bytes of something unfinished, kept in pieces and joined once: linear in its length, however it was cut. */
export class Pieces {
  #list: Buffer[] = []
  #bytes = 0

  /** How many bytes there are. */
  get bytes(): number {
    return this.#bytes
  }

  /** Its first byte. */
  get first(): number | undefined {
    return this.#list[0]?.[0]
  }

  /** Whether its first bytes are these, which are few. */
  startWith(bytes: Buffer): boolean {
    const first = this.#list[0] ?? NOTHING
    // The first piece is so short only where all of it is, or once.
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

  /** All of it as one buffer; it stays here. */
  joined(): Buffer {
    if (this.#list.length > 1) this.#list = [Buffer.concat(this.#list)]
    return this.#list[0] ?? NOTHING
  }

  /** All of it as one buffer; nothing stays. */
  take(): Buffer {
    const bytes = this.joined()
    this.#list = []
    this.#bytes = 0
    return bytes
  }

  /** Lets go of the first `count` bytes. */
  drop(count: number): void {
    if (count === 0) return
    const rest = this.take().subarray(count)
    if (rest.length > 0) this.push(rest)
  }

  /** Keeps only the first `count` bytes, in a copy that lets go of what they were cut from. */
  cut(count: number): void {
    this.push(Buffer.from(this.take().subarray(0, count)))
  }
}
