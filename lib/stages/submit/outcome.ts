import type { Failure } from '../../api/failure.ts'

/**
 * What the reply to a create means.
 * `created` the API has the batch; `again` it has not, and it can be sent again after a wait; `unknown` it may have it;
 * `split` it is too large; `reject` one request of it is refused; `refused` it is refused for a request that is not named, or
 * for a cause that all share; `stop` no batch will be taken.
 */
export type CreateOutcome =
  | { readonly kind: 'created'; readonly id: string }
  | { readonly kind: 'again'; readonly failure: Failure }
  | { readonly kind: 'unknown'; readonly failure: Failure }
  | { readonly kind: 'split' }
  | { readonly kind: 'reject'; readonly position: number; readonly failure: Failure }
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'stop'; readonly failure: Failure }

/** How a 400 names the request it refuses. Source: anthropic-sdk-python#984, "requests.0.custom_id: String should ...". */
const NAMED = /\brequests\.(\d+)\b/

/**
 * Reads a failed create. Only an answer that says so proves that nothing was created: without the last byte there can be
 * no batch; with it, a 4xx that refuses the request proves that there is none, and everything else (silence, any 5xx, 529 too,
 * 408, 409, a 4xx that HTTP does not define, a redirect, half an answer) leaves it unknown.
 */
export function outcomeOf(failure: Failure, wholeSent: boolean): CreateOutcome {
  switch (failure.kind) {
    case 'redirect':
      return wholeSent ? { kind: 'unknown', failure } : { kind: 'stop', failure }
    case 'access':
    case 'notFound':
      return { kind: 'stop', failure }
    case 'tooLarge':
      return { kind: 'split' }
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
  const position = NAMED.exec(failure.message)?.[1]
  if (position === undefined) return { kind: 'refused', failure }
  return { kind: 'reject', position: Number(position), failure }
}
