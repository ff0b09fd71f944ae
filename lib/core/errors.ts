/**
 * The kind of an error: a stable code to match on. Messages may change, codes do not.
 *
 * | code | meaning |
 * | --- | --- |
 * | `CBS_OPTION` | an option or argument is invalid; nothing was done |
 * | `CBS_INPUT` | the input is invalid (format, encoding, changed since the last run) |
 * | `CBS_OUTPUT` | the output is invalid (already exists, changed since the last run) |
 * | `CBS_STOPPED` | stopped on purpose: too many invalid records, or a first batch that failed as a whole |
 * | `CBS_ACCESS` | the API rejects this key: authentication, permission, billing or a spend limit |
 * | `CBS_API` | the API is unreachable, or its replies are invalid, even after retries |
 * | `CBS_JOB_IN_USE` | another process is using this job |
 * | `CBS_DISK` | reading or writing the local disk failed |
 * | `CBS_STATE` | the job on disk is damaged, or was written by a newer version |
 * | `CBS_STAGE` | a user's function threw, or a stage received the wrong kind of input |
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

/** A position in the input; `line` counts physical lines from 1, `column` characters from 1. */
export interface Place {
  /** The file; undefined for a pipe. */
  readonly source?: string | undefined
  /** Physical line, from 1. */
  readonly line?: number | undefined
  /** Character of the line, from 1. */
  readonly column?: number | undefined
}

/** The position of a record or an error in words: `line 18 of reviews.csv`. */
export function lineOf({ line, source }: { line: number; source?: string | undefined }): string {
  return source === undefined ? `line ${line}` : `line ${line} of ${source}`
}

/** Details of an error besides its message. */
export interface ErrorDetails {
  /** The original error. */
  readonly cause?: unknown
  /** Its position in the input or output. */
  readonly place?: Place | undefined
  /** The option that caused it, such as `maxCost`. */
  readonly option?: string | undefined
}

/** Every error of this package: `code` is the kind; the message names what, where and what to do; `cause` is kept. */
export class BatchStreamError extends Error {
  /** Always `BatchStreamError`. */
  override readonly name = 'BatchStreamError'
  /** The kind of the error, to match on. */
  readonly code: ErrorCode
  /** Its position in the input or output, if it has one. */
  readonly place: Place | undefined
  /** The option that caused it, such as `maxCost`, if any. */
  readonly option: string | undefined

  constructor(code: ErrorCode, message: string, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.place = more.place
    this.option = more.option
  }
}

/**
 * Returns an error of this package unchanged and wraps any other under `code`, so that stages throw only BatchStreamErrors.
 */
export function wrapError(
  code: ErrorCode,
  what: string,
  cause: unknown,
  option?: string,
): BatchStreamError {
  if (cause instanceof BatchStreamError) return cause
  return new BatchStreamError(code, `${what}: ${messageOf(cause)}`, { cause, option })
}

/** EDQUOT on Linux, which Node calls an unknown system error. */
const OVER_QUOTA = /Unknown system error -122: Unknown system error -122/

/** The message of any thrown value. It never throws, whatever a user's function has thrown. */
export function messageOf(cause: unknown): string {
  try {
    const message: unknown = cause instanceof Error ? cause.message : cause
    const text = typeof message === 'string' ? message : shown(message)
    return text.replace(OVER_QUOTA, 'EDQUOT: disk quota exceeded')
  } catch {
    return 'an error without a message'
  }
}

/** The error of an invalid option: its name, what is expected, and what was given. */
export function wrongOption(name: string, wanted: string, got: unknown): BatchStreamError {
  return new BatchStreamError('CBS_OPTION', `\`${name}\` must be ${wanted}, got ${shown(got)}`, {
    option: name,
  })
}

/**
 * Checks an option that is a list of texts, if it is given.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function listOfTexts(name: string, value: unknown): void {
  const isList = Array.isArray(value) && value.every(one => typeof one === 'string')
  if (value !== undefined && !isList) throw wrongOption(name, 'a list of texts', value)
}

function shown(got: unknown): string {
  if (typeof got === 'function') return 'a function'
  // JSON shows NaN and Infinity as null, and throws on cycles.
  if (typeof got !== 'object' && typeof got !== 'string') return String(got)
  try {
    // It is undefined if `toJSON` returns nothing.
    return JSON.stringify(got) ?? String(got)
  } catch {
    return String(got)
  }
}

/**
 * Checks that a number is whole and in range.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  const top = Math.min(most, Number.MAX_SAFE_INTEGER)
  const range =
    most === Infinity && !(value > top) ? `of at least ${least}` : `from ${least} to ${top}`
  throw wrongOption(name, `a whole number ${range}`, value)
}
