import { KEY_BYTES } from '../../core/request-key.ts'

/** A page of the table: what a disk reads at once. */
export const PAGE_BYTES = 4096

// A slot: a key, and the record's ordinal plus one (6 bytes), 0 in a free slot. Little-endian.
const ORDINAL_BYTES = 6
const SLOT = KEY_BYTES + ORDINAL_BYTES
const SLOTS = Math.floor(PAGE_BYTES / SLOT)

/** So many keys in one page mean that the table should grow. */
const MANY = Math.floor(SLOTS / 2)

/** One page of a table of keys: those that hash to it, and which record brought each. */
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

  /** Puts a key that is not there; true when the page has many. */
  put(key: Buffer, ordinal: number): boolean {
    const at = this.#slotOf(key) * SLOT
    key.copy(this.bytes, at)
    this.bytes.writeUIntLE(ordinal + 1, at + KEY_BYTES, ORDINAL_BYTES)
    this.changed = true
    this.#keys += 1
    return this.#keys >= MANY
  }

  /** The same keys in two pages. */
  divide(stays: (key: Buffer) => boolean): [DedupePage, DedupePage] {
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

  /** Where the key is, or would go. Pages are never more than half full, so a free slot is always found. */
  #slotOf(key: Buffer): number {
    let slot = key.readUInt32LE(4) % SLOTS
    while (this.#at(slot) !== 0 && !this.#holds(slot, key)) slot = (slot + 1) % SLOTS
    return slot
  }

  #holds(slot: number, key: Buffer): boolean {
    return this.bytes.compare(key, 0, KEY_BYTES, slot * SLOT, slot * SLOT + KEY_BYTES) === 0
  }
}
