import { BatchStreamError, type ErrorCode } from '../core/errors.ts'

/** Exit codes of the program. */
export const EXIT = {
  answered: 0,
  bug: 1,
  usage: 2,
  someFailed: 3,
  stopped: 4,
  access: 5,
  input: 6,
  inUse: 7,
  api: 8,
  disk: 9,
  state: 10,
  inFlight: 11,
  hangup: 129,
  interrupt: 130,
  closedReader: 141,
  terminate: 143,
} as const

/** Exit codes in words; the README uses the same. */
export const EXIT_MEANING: Readonly<Record<string, string>> = {
  0: 'every record was answered',
  1: 'a bug: please report it',
  2: 'a wrong flag or command',
  3: 'finished, and some rows are not `succeeded`',
  4: 'stopped on purpose: `--max-cost` is reached, `--canary` got no answer, more bad records than `--max-invalid` allows, a first batch whose every row failed the same way, or a batch that needs `--adopt`',
  5: 'key, permission, billing or spend limit',
  6: 'invalid input or output',
  7: 'another process is using the job',
  8: 'the API is unreachable, or its replies are invalid',
  9: 'the local disk',
  10: 'the job on disk is damaged, or newer than this version',
  11: 'not finished: batches are in flight (after `--max-wait`, where `resume` continues; `merge`)',
  '129, 130, 141, 143': 'hangup, Ctrl-C, closed reader, terminate',
}

const OF_CODE: Readonly<Record<ErrorCode, number>> = {
  CBS_OPTION: EXIT.usage,
  CBS_INPUT: EXIT.input,
  CBS_OUTPUT: EXIT.input,
  CBS_STOPPED: EXIT.stopped,
  CBS_ACCESS: EXIT.access,
  CBS_API: EXIT.api,
  CBS_JOB_IN_USE: EXIT.inUse,
  CBS_DISK: EXIT.disk,
  CBS_STATE: EXIT.state,
  CBS_STAGE: EXIT.bug,
}

/** The signals that end a run, and their exit codes. */
export const SIGNALS: Readonly<Record<'SIGHUP' | 'SIGINT' | 'SIGTERM', number>> = {
  SIGHUP: EXIT.hangup,
  SIGINT: EXIT.interrupt,
  SIGTERM: EXIT.terminate,
}

export function exitCodeOf(error: unknown): number {
  if (isClosedReader(error)) return EXIT.closedReader
  if (!(error instanceof BatchStreamError)) return isOutOfFiles(error) ? EXIT.disk : EXIT.bug
  // Only a user's function has a record's position in its error, so the fault is in --template.
  return error.code === 'CBS_STAGE' && error.place ? EXIT.usage : OF_CODE[error.code]
}

/** Whether the reader of stdout has closed it (`| head`). That ends the work and is not an error. */
export function isClosedReader(error: unknown): boolean {
  // The API or a database closes its connection with the same code.
  const isRemote = error instanceof BatchStreamError && error.code === 'CBS_API'
  return !isRemote && stemsFrom(error, ['EPIPE'])
}

/** Whether the process has no file descriptors left. Then even modules of the program may fail to load. */
export function isOutOfFiles(error: unknown): boolean {
  return stemsFrom(error, ['EMFILE', 'ENFILE'])
}

function stemsFrom(error: unknown, codes: readonly unknown[]): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ('code' in inner && codes.includes(inner.code)) return true
  }
  return false
}

/** Whether the job can be resumed after this exit code. */
export function isResumable(code: number): boolean {
  return code !== EXIT.usage && code !== EXIT.inUse && code !== EXIT.state && code !== EXIT.answered
}
