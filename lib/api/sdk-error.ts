import { messageOf } from '../core/errors.ts'

/**
 * The members of an SDK error that are used. Errors are recognised by shape rather than class, because the user's client
 * may come from another copy of the SDK.
 */
export interface SdkError extends Error {
  /** Undefined if there was no reply. */
  readonly status: number | undefined
  readonly headers: Headers | undefined
  /** `error.details.error_code` of the reply; since SDK 1.5. */
  readonly errorCode?: string | null
  /** `error.message` of the reply; since SDK 1.5. */
  readonly apiMessage?: string | null
}

export function isSdkError(cause: unknown): cause is SdkError {
  return cause instanceof Error && 'status' in cause && 'headers' in cause && 'requestID' in cause
}

/** Whether an error reply has the form of the API's, which those of gateways, proxies and filters lack. */
export function hasApiForm(cause: unknown): boolean {
  // `Object` turns a value that is not an object into an empty one, so each member can be read.
  const { type, error } = Object(Object(cause).error)
  return type === 'error' && [Object(error).type, Object(error).message].every(isText)
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

/** The connection broke while a body was read, after the SDK had returned. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody'

  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** A reply that the API would not send: a retry may help, waiting for hours does not. */
export class MalformedReply extends Error {
  override readonly name = 'MalformedReply'
}

/** Codes of zlib, Brotli and Zstandard for bytes that are not what their encoding says. */
const UNDECODABLE = /^(?:Z_DATA_ERROR|Z_NEED_DICT|Z_STREAM_ERROR|ERR__|ERR_BROTLI|ZSTD_error)/

/** Whether a body failed because it cannot be decoded. fetch wraps the decoder's error. */
export function isUndecodable(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  if ('code' in cause && UNDECODABLE.test(String(cause.code))) return true
  return isUndecodable(cause.cause)
}
