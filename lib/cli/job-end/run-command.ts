import { spawn } from 'node:child_process'
import type { Io } from '../io.ts'

/**
 * Runs a shell command with a text on its stdin; what it says goes to our stderr, since stdout is for rows. Gives the reason
 * why it failed; undefined where it did not.
 */
export function runCommand(
  command: string,
  text: string,
  { env, stderr }: Pick<Io, 'env' | 'stderr'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise(resolve => {
    const child = spawn('/bin/sh', ['-c', command], { env: { ...env }, signal })
    // A command that does not read is no fault.
    child.stdin.on('error', () => {})
    child.stdin.end(text)
    for (const stream of [child.stdout, child.stderr]) stream.pipe(stderr, { end: false })
    child.on('error', error => resolve(`it could not be run: ${error.message}`))
    child.on('close', (code, killed) => {
      resolve(
        code === 0 ? undefined : killed ? `it was ended by ${killed}` : `it exited with ${code}`,
      )
    })
  })
}
