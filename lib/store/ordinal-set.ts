/** A set of record ordinals, one bit each up to the highest: 125 KB for a million records. */
export class OrdinalSet {
  #bytes = new Uint8Array(1024)

  add(ordinal: number): void {
    const at = Math.floor(ordinal / 8)
    if (at >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.#bytes.length * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    // In range: it was just ensured.
    this.#bytes[at] = (this.#bytes[at] as number) | (1 << (ordinal % 8))
  }

  has(ordinal: number): boolean {
    return ((this.#bytes[Math.floor(ordinal / 8)] ?? 0) & (1 << (ordinal % 8))) !== 0
  }

  /** Whether it has any of the ordinals from `first` on that are less than `end`. */
  hasAny(first: number, end: number): boolean {
    for (let ordinal = first; ordinal < end;) {
      if (this.has(ordinal)) return true
      const isEmpty = ordinal % 8 === 0 && !this.#bytes[ordinal / 8]
      ordinal += isEmpty ? 8 : 1
    }
    return false
  }

  /** The ordinals, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const [at, byte] of this.#bytes.entries()) {
      if (byte === 0) continue
      for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) yield at * 8 + bit
    }
  }
}
