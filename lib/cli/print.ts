import type { Writable } from 'node:stream'
import { wrapError } from '../core/errors.ts'
import { forTerminal } from './shown.ts'

/** Writes text and waits until it is taken: a closed reader or a full disk is an error here, not an event somewhere. */
export function print(
  stream: Writable & { readonly isTTY?: boolean },
  text: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(stream.isTTY ? forTerminal(text) : text, error => {
      if (error) reject(wrapError('CBS_DISK', 'the output cannot be written', error))
      else resolve()
    })
  })
}
