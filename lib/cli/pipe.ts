import { constants, open } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { wrapError } from '../core/errors.ts'

export interface PipeOptions {
  /** Ends the wait for a reader. */
  readonly signal: AbortSignal
  /** Called once if there is no reader yet. */
  readonly onWait: () => void
}

/** Ms between two checks for a reader. */
const LOOK_MS = 50

export async function isPipe(path: string): Promise<boolean> {
  return await stat(path).then(
    found => found.isFIFO(),
    () => false,
  )
}

/**
 * Opens a named pipe for writing once it has a reader. A blocking open or write would hold a thread that no signal ends, so
 * the pipe is opened non-blocking.
 *
 * @throws BatchStreamError `CBS_OUTPUT` if the pipe cannot be opened; the signal's reason when it aborts
 */
export async function openPipe(path: string, { signal, onWait }: PipeOptions): Promise<Writable> {
  let fd = await openNow(path)
  if (fd === undefined) onWait()
  while (fd === undefined) {
    await sleep(LOOK_MS, undefined, { signal })
    fd = await openNow(path)
  }
  return new Socket({ fd, readable: false, writable: true })
}

/** A raw descriptor, which no object closes; undefined if the pipe has no reader. */
async function openNow(path: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    open(path, constants.O_WRONLY | constants.O_NONBLOCK, (cause, fd) => {
      if (!cause) resolve(fd)
      else if (cause.code === 'ENXIO') resolve(undefined)
      else reject(wrapError('CBS_OUTPUT', `${path} cannot be opened`, cause))
    })
  })
}

/** The message of a command that waits for the reader of a pipe. */
export function waitsForReader(path: string): string {
  return `${path} is a pipe without a reader: waiting for one`
}
