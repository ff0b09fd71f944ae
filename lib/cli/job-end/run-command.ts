import { spawn } from 'node:child_process'
import type { Io } from '../io.ts'

/** A command that runs longer is terminated. */
const MOST_MS = 600_000
/** How long to wait for output after the command has ended, in case a process that it left behind holds the pipe. */
const REST_MS = 500

export interface CommandTimes {
  readonly mostMs?: number
  readonly restMs?: number
}

/**
 * Runs a shell command with a text on stdin. Its output goes to stderr, since stdout is for rows. Returns the reason of a
 * failure; undefined on success. Only the command itself is awaited, not its background processes.
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
      // A command that ignores SIGTERM must not keep the program alive.
      child.unref()
      resolve(why)
    }
    // A command may ignore its stdin.
    child.stdin.on('error', () => {})
    child.stdin.end(text)
    for (const stream of [child.stdout, child.stderr]) stream.pipe(stderr, { end: false })
    child.on('error', error =>
      settle(
        late.aborted
          ? `it did not finish within ${mostMs / 1000} s`
          : signal.aborted
            ? 'it was stopped'
            : `it could not be started: ${error.message}`,
      ),
    )
    child.on('exit', (code, killed) => {
      const why =
        code === 0 ? undefined : killed ? `it was killed by ${killed}` : `it exited with ${code}`
      const rest = setTimeout(settle, restMs, why)
      child.once('close', () => {
        clearTimeout(rest)
        settle(why)
      })
    })
  })
}
