import { messageOf } from '../core/errors.ts'

/**
 * What is read of an error that the SDK throws. It is known by its shape and not by its class: the client is the user's, and
 * may come from another copy of the SDK than ours.
 */
export interface SdkError extends Error {
  /** Undefined where no answer came. */
  readonly status: number | undefined
  readonly headers: Headers | undefined
  /** `error.details.error_code` of the answer; since SDK 1.5. */
  readonly errorCode?: string | null
  /** `error.message` of the answer; since SDK 1.5. */
  readonly apiMessage?: string | null
}

export function isSdkError(cause: unknown): cause is SdkError {
  return cause instanceof Error && 'status' in cause && 'headers' in cause && 'requestID' in cause
}

/** The connection broke while an answer's body was read; the SDK is out of the game by then. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody'

  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** A reply that no API gives: a retry may help, waiting for hours does not. */
export class MalformedReply extends Error {
  override readonly name = 'MalformedReply'
}

/** Codes of zlib, Brotli and Zstandard for bytes that are not what their encoding says. */
const UNDECODABLE = /^(?:Z_DATA_ERROR|Z_NEED_DICT|Z_STREAM_ERROR|ERR__|ERR_BROTLI|ZSTD_error)/

/** Did a body fail because it cannot be decoded? fetch wraps what the decoder said. */
export function isUndecodable(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  if ('code' in cause && UNDECODABLE.test(String(cause.code))) return true
  return isUndecodable(cause.cause)
}
