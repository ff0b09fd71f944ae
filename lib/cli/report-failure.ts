import { BatchStreamError, messageOf } from '../core/errors.ts'
import { EXIT, exitCodeOf, isClosedReader, isOutOfFiles } from './exit-code.ts'
import type { Talk } from './talk.ts'

/** Reports the error that ends the program, and returns the exit code. */
export function report(error: unknown, talk: Talk, stacks: boolean): number {
  const code = exitCodeOf(error)
  // `| head` closing the pipe is a normal end without a message.
  if (isClosedReader(error)) return code
  const hint = isOutOfFiles(error) ? '; raise the limit with `ulimit -n`' : ''
  const message = messageOf(error) + hint
  talk.fail(
    code === EXIT.bug ? `${message} (this is a bug: please report it)` : message,
    error instanceof BatchStreamError ? error.code : undefined,
    stacks && error instanceof Error ? error.stack : undefined,
  )
  return code
}
