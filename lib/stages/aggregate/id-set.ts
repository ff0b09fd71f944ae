import { createHash } from 'node:crypto'

/**
 * A set of ids in at most 32 bytes each: an open-addressed table of 63-bit digests. Among a million ids, the chance that two
 * share a digest is one in ten million; the second would be reported as a duplicate, never lost.
 */
export class IdSet {
  #slots: BigUint64Array = new BigUint64Array(1024)
  #size = 0

  /** Adds an id. Returns false if it is in the set already. */
  add(id: string): boolean {
    if (this.#size * 2 > this.#slots.length) this.#grow()
    if (!this.#put(digestOf(id))) return false
    this.#size += 1
    return true
  }

  #put(digest: bigint): boolean {
    const mask = this.#slots.length - 1
    let at = Number(digest & 0xffffffffn) & mask
    while (this.#slots[at] !== 0n) {
      if (this.#slots[at] === digest) return false
      at = (at + 1) & mask
    }
    this.#slots[at] = digest
    return true
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new BigUint64Array(old.length * 2)
    for (const digest of old) if (digest !== 0n) this.#put(digest)
  }
}

/** Never 0, which marks a free slot. */
function digestOf(id: string): bigint {
  return createHash('sha1').update(id).digest().readBigUInt64LE() | (1n << 63n)
}
