import type { Failure } from '../../api/failure.ts'
import type { ForeignWorkspace } from '../../api/api.ts'

/**
 * What the reply to a create means.
 * - `created`: the API has the batch.
 * - `again`: the API does not have it; it can be sent again after a wait.
 * - `unknown`: the API may have it.
 * - `split`: the batch is too large.
 * - `reject`: the API refuses one of its requests.
 * - `refused`: the API refuses the batch because of a request that it does not name, or for a cause that all requests share.
 * - `stop`: the API accepts no batch at all.
 */
export type CreateOutcome =
  /** `foreign`: it is in another workspace than the other batches, so nothing more can be sent. */
  | {
      readonly kind: 'created'
      readonly id: string
      /** When the API created it; undefined if the reply does not say. */
      readonly createdAt: number | undefined
      readonly foreign?: ForeignWorkspace | undefined
    }
  /**
   * `isRefused`: the API refuses it, so it need not be waited for once the batches that may be it are known to be others. `refusal`: what
   * the reply means once the API is known not to have the batch.
   */
  | {
      readonly kind: 'unknown'
      readonly failure: Failure
      readonly isRefused?: true
      readonly refusal?: Refusal
    }
  | Refusal

/** The API does not have the batch. */
export type Refusal =
  | { readonly kind: 'again'; readonly failure: Failure }
  | { readonly kind: 'split'; readonly failure: Failure }
  | { readonly kind: 'reject'; readonly position: number; readonly failure: Failure }
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'stop'; readonly failure: Failure }

/** How a 400 names the request it refuses. Source: anthropic-sdk-python#984, "requests.0.custom_id: String should ...". */
const NAMED_REQUEST = /\brequests\.(\d+)\b/

/**
 * Interprets a failed create. If the last byte was not sent, there is no batch. If it was, only a 4xx that refuses the request
 * proves that there is none; everything else (no reply, any 5xx including 529, 408, 409, a 4xx that HTTP does not define, a
 * redirect, a partial reply) leaves the outcome unknown.
 */
export function outcomeOf(failure: Failure, wholeSent: boolean): CreateOutcome {
  switch (failure.kind) {
    case 'redirect':
      return wholeSent ? { kind: 'unknown', failure } : { kind: 'stop', failure }
    case 'access':
    case 'notFound':
      return { kind: 'stop', failure }
    case 'tooLarge':
      return { kind: 'split', failure }
    case 'busy':
      return { kind: 'again', failure }
    case 'refused':
      return refused(failure)
    case 'network':
    case 'server':
    case 'malformed':
      return wholeSent ? { kind: 'unknown', failure } : { kind: 'again', failure }
  }
}

function refused(failure: Failure): CreateOutcome {
  const position = NAMED_REQUEST.exec(failure.message)?.[1]
  if (position === undefined) return { kind: 'refused', failure }
  return { kind: 'reject', position: Number(position), failure }
}
