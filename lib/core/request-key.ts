import { hash } from 'node:crypto'

/** The length of a request's key. A digest of 128 bits is never that of two requests. */
export const KEY_BYTES = 16

/** What a request is known by, in its job and in later ones: a digest of its params as they are sent. */
export function keyOf(paramsJson: string | Uint8Array): Buffer {
  // A string of bytes is the quickest form, and every request of every job is hashed.
  return Buffer.from(hash('sha256', paramsJson, 'binary').slice(0, KEY_BYTES), 'latin1')
}
