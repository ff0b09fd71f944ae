import type { Writable } from 'node:stream'
import { wrapError } from '../core/errors.ts'
import { forTerminal } from './shown.ts'

/** Writes text, or bytes for another program, and waits until it is taken: a closed reader or a full disk is an error here, not an event somewhere. */
export function print(
  stream: Writable & { readonly isTTY?: boolean },
  text: string | Buffer,
): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(stream.isTTY ? forTerminal(text.toString()) : text, error => {
      if (error) reject(wrapError('CBS_DISK', 'the output cannot be written', error))
      else resolve()
    })
  })
}
