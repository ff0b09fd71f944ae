/** Initial slots of the table; it doubles when it is half full. */
const FIRST_SLOTS = 1 << 10

/**
 * Counts hashes in 10 bytes per slot, without an object per entry, so that a million requests fit beside the user's own
 * program. Hashes are whole numbers from 1 to 2^52.
 */
export class SeenCounts {
  #keys: Float64Array = new Float64Array(FIRST_SLOTS)
  #counts: Uint16Array = new Uint16Array(FIRST_SLOTS)
  #used = 0

  /** Increments the count of a hash and returns it. */
  add(hash: number): number {
    if (this.#used * 2 >= this.#keys.length) this.#grow()
    const slot = this.#slot(hash)
    if (this.#keys[slot] === 0) {
      this.#keys[slot] = hash
      this.#used++
    }
    // Both tables have the slot.
    const count = Math.min((this.#counts[slot] as number) + 1, 0xffff)
    this.#counts[slot] = count
    return count
  }

  has(hash: number): boolean {
    return this.#keys[this.#slot(hash)] !== 0
  }

  #slot(hash: number): number {
    const { length } = this.#keys
    let slot = hash % length
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== hash) slot = (slot + 1) % length
    return slot
  }

  #grow(): void {
    const keys = this.#keys
    const counts = this.#counts
    this.#keys = new Float64Array(keys.length * 2)
    this.#counts = new Uint16Array(keys.length * 2)
    keys.forEach((key, at) => {
      if (key === 0) return
      const slot = this.#slot(key)
      this.#keys[slot] = key
      // The old tables have the same length.
      this.#counts[slot] = counts[at] as number
    })
  }
}

/** A hash for the table, from the hex digits of a digest. */
export function hashOfHex(hex: string): number {
  return parseInt(hex.slice(0, 13), 16) || 1
}
