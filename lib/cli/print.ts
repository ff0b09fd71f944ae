import type { Writable } from 'node:stream'
import { wrapError } from '../errors.ts'

/** Writes text and waits until it is taken: a closed reader or a full disk is an error here, not an event somewhere. */
export function print(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, error => {
      if (error) reject(wrapError('CBS_DISK', 'the output cannot be written', error))
      else resolve()
    })
  })
}
