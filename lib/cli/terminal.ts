import { openSync } from 'node:fs'
import { ReadStream, WriteStream } from 'node:tty'
import type { Terminal } from './io.ts'

/** The terminal that the program was started in, even if stdin and stdout are pipes; undefined in a service or a cron job. */
export function openTerminal(path: string = '/dev/tty'): Terminal | undefined {
  try {
    const input = new ReadStream(openSync(path, 'r'))
    const output = new WriteStream(openSync(path, 'w'))
    const close = (): void => {
      input.destroy()
      output.destroy()
    }
    return { input, output, close }
  } catch {
    return undefined
  }
}
