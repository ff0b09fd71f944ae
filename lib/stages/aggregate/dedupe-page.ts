import { KEY_BYTES } from '../../core/request-key.ts'

/** The size of a page: what a disk reads at once. */
export const PAGE_BYTES = 4096

// A slot: a key, and the record's ordinal plus one (6 bytes), 0 in a free slot. Little-endian.
const ORDINAL_BYTES = 6
const SLOT = KEY_BYTES + ORDINAL_BYTES
const SLOTS = Math.floor(PAGE_BYTES / SLOT)

/** The number of keys in a page at which the table should grow. */
const FULL_KEYS = Math.floor(SLOTS / 2)

/** A page of the table: the keys that hash to it, with the record of each. */
export class DedupePage {
  readonly bytes: Buffer
  changed: boolean
  #keys: number

  constructor(bytes: Buffer = Buffer.alloc(PAGE_BYTES), changed = false) {
    this.bytes = bytes
    this.changed = changed
    this.#keys = 0
    for (let slot = 0; slot < SLOTS; slot++) if (this.#at(slot) !== 0) this.#keys += 1
  }

  find(key: Buffer): number | undefined {
    const ordinal = this.#at(this.#slotOf(key))
    return ordinal === 0 ? undefined : ordinal - 1
  }

  /** Adds a new key. Returns true if the table should grow. */
  put(key: Buffer, ordinal: number): boolean {
    const at = this.#slotOf(key) * SLOT
    key.copy(this.bytes, at)
    this.bytes.writeUIntLE(ordinal + 1, at + KEY_BYTES, ORDINAL_BYTES)
    this.changed = true
    this.#keys += 1
    return this.#keys >= FULL_KEYS
  }

  /** Splits the page in two. */
  split(stays: (key: Buffer) => boolean): [DedupePage, DedupePage] {
    const [stay, go] = [new DedupePage(), new DedupePage()]
    for (let slot = 0; slot < SLOTS; slot++) {
      const ordinal = this.#at(slot)
      if (ordinal === 0) continue
      const key = this.bytes.subarray(slot * SLOT, slot * SLOT + KEY_BYTES)
      ;(stays(key) ? stay : go).put(key, ordinal - 1)
    }
    stay.changed = go.changed = true
    return [stay, go]
  }

  #at(slot: number): number {
    return this.bytes.readUIntLE(slot * SLOT + KEY_BYTES, ORDINAL_BYTES)
  }

  /** The slot of a key, or the free slot for it. Pages are at most half full, so there always is one. */
  #slotOf(key: Buffer): number {
    let slot = key.readUInt32LE(4) % SLOTS
    while (this.#at(slot) !== 0 && !this.#holds(slot, key)) slot = (slot + 1) % SLOTS
    return slot
  }

  #holds(slot: number, key: Buffer): boolean {
    return this.bytes.compare(key, 0, KEY_BYTES, slot * SLOT, slot * SLOT + KEY_BYTES) === 0
  }
}
