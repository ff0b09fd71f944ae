interface Stretch {
  readonly from: Buffer
  readonly start: number
  readonly end: number
}

/** Gathers the pieces of a row, texts and stretches of other bytes, and joins them with one allocation and one copy. */
export class RowBytes {
  readonly #pieces: (string | Stretch)[] = []
  #size = 0

  text(piece: string): this {
    this.#pieces.push(piece)
    this.#size += Buffer.byteLength(piece)
    return this
  }

  bytes(from: Buffer, start: number, end: number): this {
    this.#pieces.push({ from, start, end })
    this.#size += end - start
    return this
  }

  join(): Buffer {
    const row = Buffer.allocUnsafe(this.#size)
    let at = 0
    for (const piece of this.#pieces) {
      at +=
        typeof piece === 'string'
          ? row.write(piece, at)
          : piece.from.copy(row, at, piece.start, piece.end)
    }
    return row
  }
}
