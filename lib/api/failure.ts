import {
  BrokenBody,
  isSdkError,
  isUndecodable,
  MalformedReply,
  type SdkError,
} from './sdk-error.ts'
import { shorten } from '../core/without-keys.ts'

/** The longest wait an answer can ask for; more than this is nonsense, or a limit that should stop the run. */
const LONGEST_MS = 60 * 60 * 1000

/**
 * How long an answer asks us to wait, in ms: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date. Undefined
 * where it does not say so, or says nonsense (negative, a date gone by, an age).
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
 * What a failed call means, whatever the call was:
 * `network` no answer came or the connection broke; `busy` the API asks to wait; `server` it failed inside (5xx, 408, 409);
 * `access` key, permission, billing or a spend limit; `notFound` 404; `tooLarge` 413; `refused` any other 4xx;
 * `redirect` a 3xx; `malformed` an answer that is not the API's.
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
  /** How long the answer asks us to wait, in ms. */
  readonly retryAfterMs: number | undefined
  readonly cause: unknown
}

/** Spend limits that no waiting of ours lifts. Source: API docs "Rate limits" and the SDK's error codes. */
const SPEND_CODES = new Set(['enforced_spend_limit_reached', 'contract_spend_limit_reached'])

/** 400s that are about the account and not about the request. Source: the SDK's `@throws` on batches. */
const ACCOUNT_CODES = new Set([
  'organization_on_hold',
  'cmek_key_disabled',
  'claude_code_key_creator_not_member',
  'workspace_human_review_disabled',
])

/**
 * 400s about the account that have no code; only their words tell. Sources: API docs "Rate limits" for a spend limit that the
 * customer set, users' reports for an empty account.
 */
const ACCOUNT_WORDS = /reached your specified.* usage limits|credit balance is too low/i

/** Reads an error of the SDK (or anything else that was thrown while calling it). */
export function failureOf(cause: unknown, now: number): Failure {
  if (!isSdkError(cause)) return failure(brokeOff(cause) ? 'network' : 'malformed', cause, null)
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

/** An answer whose body breaks off or stalls: what fetch throws then comes through the SDK as it is. */
function brokeOff(cause: unknown): boolean {
  if (!(cause instanceof Error) || isUndecodable(cause)) return false
  if (cause instanceof BrokenBody || cause.name === 'AbortError') return true
  return cause instanceof TypeError && cause.message === 'terminated'
}

function kindOf(status: number, error: SdkError): Failure['kind'] {
  if (status >= 300 && status < 400) return 'redirect'
  if (status === 401 || status === 402 || status === 403) return 'access'
  if (status === 404) return 'notFound'
  if (status === 413) return 'tooLarge'
  if (status === 429) return SPEND_CODES.has(error.errorCode ?? '') ? 'access' : 'busy'
  if (status === 408 || status === 409 || status >= 500) return 'server'
  if (ACCOUNT_CODES.has(error.errorCode ?? '') || ACCOUNT_WORDS.test(error.message)) return 'access'
  return 'refused'
}

function failure(kind: Failure['kind'], cause: unknown, status: number | null): Failure {
  return { kind, message: sentence(cause, status), status, retryAfterMs: undefined, cause }
}

function sentence(cause: unknown, status: number | null): string {
  if (isSdkError(cause) && status !== null) {
    return `the API answered ${status}: ${shorten(cause.apiMessage ?? cause.message)}`
  }
  return cause instanceof Error ? shorten(cause.message) : shorten(String(cause))
}

/** The SDK wraps what fetch threw, and fetch wraps what the socket said: the innermost message is the one that helps. */
function rootOf(error: Error): Error {
  return error.cause instanceof Error && error.cause.message !== '' ? rootOf(error.cause) : error
}
