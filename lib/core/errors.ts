/**
 * What went wrong, as a stable word to match on; messages may be reworded, codes may not.
 *
 * | code | meaning |
 * | --- | --- |
 * | `CBS_OPTION` | an option or argument is wrong; nothing has been done |
 * | `CBS_INPUT` | the input is not what it should be (format, encoding, changed since the last run) |
 * | `CBS_OUTPUT` | the output is not what it should be (exists already, changed since the last run) |
 * | `CBS_STOPPED` | stopped on purpose: too many invalid records, or a first batch that failed as a whole |
 * | `CBS_ACCESS` | the API refuses this key: authentication, permission, billing or a spend limit |
 * | `CBS_API` | the API stays unreachable, or answers what it should not, after retries |
 * | `CBS_JOB_IN_USE` | another process works on this job |
 * | `CBS_DISK` | the local disk refuses to read or write |
 * | `CBS_STATE` | the job on disk is damaged, or was written by a newer version |
 * | `CBS_STAGE` | a function given by the user threw, or a stage was given what it cannot take |
 */
export type ErrorCode =
  | 'CBS_OPTION'
  | 'CBS_INPUT'
  | 'CBS_OUTPUT'
  | 'CBS_STOPPED'
  | 'CBS_ACCESS'
  | 'CBS_API'
  | 'CBS_JOB_IN_USE'
  | 'CBS_DISK'
  | 'CBS_STATE'
  | 'CBS_STAGE'

/** Where in the input an error lies; `line` counts physical lines from 1, `column` characters from 1. */
export interface Place {
  readonly source?: string | undefined
  readonly line?: number | undefined
  readonly column?: number | undefined
}

/** Where a record or an error lies, for a sentence: `line 18 of reviews.csv`. */
export function lineOf({ line, source }: { line: number; source?: string | undefined }): string {
  return source === undefined ? `line ${line}` : `line ${line} of ${source}`
}

/** What an error says beside its message. */
export interface ErrorDetails {
  /** What led to it. */
  readonly cause?: unknown
  readonly place?: Place | undefined
  readonly option?: string | undefined
}

/** Every error of this package: `code` says what kind, the message what, where and what to do; `cause` is kept. */
export class BatchStreamError extends Error {
  override readonly name = 'BatchStreamError'
  readonly code: ErrorCode
  /** Where in the input or output it lies, if it lies in one place. */
  readonly place: Place | undefined
  /** The name of the option that it is about, such as `maxCost`, if it is about one. */
  readonly option: string | undefined

  constructor(code: ErrorCode, message: string, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.place = more.place
    this.option = more.option
  }
}

/** Gives an error of ours back as it is and wraps any other under `code`, so that nothing foreign leaves a stage. */
export function wrapError(code: ErrorCode, what: string, cause: unknown): BatchStreamError {
  if (cause instanceof BatchStreamError) return cause
  return new BatchStreamError(code, `${what}: ${messageOf(cause)}`, { cause })
}

/** What anything that was thrown says. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** The message of a wrong option: what it is, what it must be, and what was given. */
export function wrongOption(name: string, wanted: string, got: unknown): BatchStreamError {
  return new BatchStreamError('CBS_OPTION', `\`${name}\` must be ${wanted}, got ${shown(got)}`)
}

function shown(got: unknown): string {
  if (typeof got === 'function') return 'a function'
  // JSON shows NaN and Infinity as null, and throws on what holds itself.
  if (typeof got !== 'object' && typeof got !== 'string') return String(got)
  try {
    return JSON.stringify(got)
  } catch {
    return String(got)
  }
}

/** Checks a whole number in a range, in the words of `wrongOption`. */
export function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  const top = Math.min(most, Number.MAX_SAFE_INTEGER)
  const range =
    most === Infinity && !(value > top) ? `of at least ${least}` : `from ${least} to ${top}`
  throw wrongOption(name, `a whole number ${range}`, value)
}
