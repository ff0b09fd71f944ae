import { spawn } from 'node:child_process'
import type { Io } from '../io.ts'

/** A command that takes longer is ended. */
const MOST_MS = 600_000
/** So long what an ended command has printed is waited for, where a process that it has left behind holds the pipe. */
const REST_MS = 500

export interface CommandTimes {
  readonly mostMs?: number
  readonly restMs?: number
}

/**
 * Runs a shell command with a text on its stdin; what it prints goes to our stderr, since stdout is for rows. Gives the reason
 * why it failed; undefined where it did not. Only the command itself is waited for, not what it starts in the background.
 */
export function runCommand(
  command: string,
  text: string,
  { env, stderr }: Pick<Io, 'env' | 'stderr'>,
  signal: AbortSignal,
  { mostMs = MOST_MS, restMs = REST_MS }: CommandTimes = {},
): Promise<string | undefined> {
  return new Promise(resolve => {
    const late = AbortSignal.timeout(mostMs)
    const child = spawn('/bin/sh', ['-c', command], {
      env: { ...env },
      signal: AbortSignal.any([signal, late]),
    })
    const settle = (why: string | undefined): void => {
      for (const stream of child.stdio) stream?.destroy()
      // One that does not heed SIGTERM must not keep the program.
      child.unref()
      resolve(why)
    }
    // A command that does not read is no fault.
    child.stdin.on('error', () => {})
    child.stdin.end(text)
    for (const stream of [child.stdout, child.stderr]) stream.pipe(stderr, { end: false })
    child.on('error', error =>
      settle(
        late.aborted
          ? `it did not end within ${mostMs / 1000} s`
          : `it could not be run: ${error.message}`,
      ),
    )
    child.on('exit', (code, killed) => {
      const why =
        code === 0 ? undefined : killed ? `it was ended by ${killed}` : `it exited with ${code}`
      const rest = setTimeout(settle, restMs, why)
      child.once('close', () => {
        clearTimeout(rest)
        settle(why)
      })
    })
  })
}
