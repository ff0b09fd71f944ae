import { createHash, randomBytes } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Makes ids that look like the API's, differ between two emulators, and never repeat within one. */
export class Ids {
  readonly #seed: string = randomBytes(9).toString('base64')
  #next = 0

  /** `prefix`, an underscore, "01" and 22 letters and digits. */
  make(prefix: string): string {
    const bytes = createHash('sha256').update(`${this.#seed}${prefix}${this.#next++}`).digest()
    let id = `${prefix}_01`
    for (const byte of bytes.subarray(0, 22)) id += ALPHABET.charAt(byte % ALPHABET.length)
    return id
  }
}
