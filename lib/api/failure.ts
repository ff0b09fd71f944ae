import {
  BrokenBody,
  isSdkError,
  isUndecodable,
  MalformedReply,
  type SdkError,
} from './sdk-error.ts'
import { messageOf } from '../core/errors.ts'
import { shorten, withoutKeys } from '../core/without-keys.ts'

/** The longest `retry-after` that is honoured. A longer one is invalid, or a limit that should stop the run. */
const LONGEST_MS = 60 * 60 * 1000

/**
 * How long a reply asks the client to wait, in ms, from `retry-after-ms` or `retry-after` (seconds or an HTTP date).
 * Undefined if the header is absent or invalid (negative, a past date, more than an hour).
 */
export function retryAfter(headers: Headers | undefined, now: number): number | undefined {
  const millis = headers?.get('retry-after-ms')
  const after = headers?.get('retry-after')
  if (millis !== null && millis !== undefined) return sane(Number(millis))
  if (after === null || after === undefined || after.trim() === '') return undefined
  const seconds = Number(after)
  return Number.isNaN(seconds) ? sane(Date.parse(after) - now) : sane(seconds * 1000)
}

function sane(ms: number): number | undefined {
  return ms >= 0 && ms <= LONGEST_MS ? ms : undefined
}

/**
 * Why a call failed, whatever the call was:
 * `network` no reply, or the connection broke; `busy` the API asks to wait; `server` it failed internally (5xx, 408, 409, or a 4xx that
 * HTTP does not define, such as the 499 of a gateway);
 * `access` key, permission, billing or a spend limit; `notFound` 404; `tooLarge` 413; `refused` any other 4xx;
 * `redirect` a 3xx; `malformed` a reply that the API would not send.
 */
export interface Failure {
  readonly kind:
    | 'network'
    | 'busy'
    | 'server'
    | 'access'
    | 'notFound'
    | 'tooLarge'
    | 'refused'
    | 'redirect'
    | 'malformed'
  /** A sentence for the user. */
  readonly message: string
  readonly status: number | null
  /** How long the reply asks the client to wait, in ms. */
  readonly retryAfterMs: number | undefined
  readonly cause: unknown
}

/** Spend limits, which waiting does not lift. Source: API docs "Rate limits" and the SDK's error codes. */
const SPEND_CODES = new Set(['enforced_spend_limit_reached', 'contract_spend_limit_reached'])

/** 400s about the account rather than the request. Source: the SDK's `@throws` on batches. */
const ACCOUNT_CODES = new Set([
  'organization_on_hold',
  'cmek_key_disabled',
  'claude_code_key_creator_not_member',
  'workspace_human_review_disabled',
])

/**
 * 400s about the account that have no code and are recognised by their text. Sources: API docs "Rate limits" for a spend
 * limit set by the customer, users' reports for an empty account.
 */
const ACCOUNT_WORDS = /reached your specified.* usage limits|credit balance is too low/i

/** Classifies an error of the SDK, or anything else thrown while calling it. */
export function failureOf(cause: unknown, now: number): Failure {
  if (!isSdkError(cause)) {
    const kind = lacksKey(cause) ? 'access' : brokeOff(cause) ? 'network' : 'malformed'
    return failure(kind, cause, null)
  }
  const { status, headers } = cause
  if (status === undefined) {
    const root = rootOf(cause)
    return failure(root instanceof MalformedReply ? 'malformed' : 'network', root, null)
  }
  return {
    ...failure(kindOf(status, cause), cause, status),
    retryAfterMs: retryAfter(headers, now),
  }
}

/** Whether the client has no credentials: the SDK says so when it makes a request. */
function lacksKey(cause: unknown): boolean {
  return messageOf(cause).startsWith('Could not resolve authentication method')
}

/** Whether the body of a reply broke off or stalled. The SDK passes on unchanged what fetch throws then. */
function brokeOff(cause: unknown): boolean {
  if (!(cause instanceof Error) || isUndecodable(cause)) return false
  if (cause instanceof BrokenBody || cause.name === 'AbortError') return true
  return cause instanceof TypeError && cause.message === 'terminated'
}

function kindOf(status: number, error: SdkError): Failure['kind'] {
  // Of a cache that was asked for nothing.
  if (status === 304) return 'server'
  if (status >= 300 && status < 400) return 'redirect'
  if (status === 401 || status === 402 || status === 403) return 'access'
  if (status === 404) return 'notFound'
  if (status === 413) return 'tooLarge'
  if (status === 429) return SPEND_CODES.has(error.errorCode ?? '') ? 'access' : 'busy'
  if (!REFUSALS.has(status)) return 'server'
  if (ACCOUNT_CODES.has(error.errorCode ?? '') || ACCOUNT_WORDS.test(error.message)) return 'access'
  return 'refused'
}

/**
 * Statuses by which a server refuses a request without processing it, as HTTP defines them. A gateway may send any other 4xx after
 * it has passed the request on.
 */
const REFUSALS: ReadonlySet<number> = new Set([
  400, 405, 406, 407, 410, 411, 412, 414, 415, 416, 417, 421, 422, 426, 428, 431, 451,
])

function failure(kind: Failure['kind'], cause: unknown, status: number | null): Failure {
  return { kind, message: sentence(cause, status), status, retryAfterMs: undefined, cause }
}

function sentence(cause: unknown, status: number | null): string {
  if (isSdkError(cause) && status !== null) {
    return `the API answered ${status}: ${shorten(cause.apiMessage ?? cause.message)}`
  }
  return shorten(withoutKeys(messageOf(cause)))
}

/** The SDK wraps what fetch threw, and fetch wraps the socket's error. The innermost message is the useful one. */
function rootOf(error: Error): Error {
  return error.cause instanceof Error && error.cause.message !== '' ? rootOf(error.cause) : error
}
