import type { ApiSession } from '../core/session.ts'
import { IDLE_TIMEOUT_MS } from '../core/limits.ts'
import { errorOf } from './api.ts'
import type { Failure } from './failure.ts'
import { withRetry } from './retry-policy.ts'

/** Options of a free call: no second layer of retries, no redirects. */
export interface CallOptions {
  readonly maxRetries: 0
  readonly timeout: number
  readonly signal: AbortSignal
  readonly fetchOptions: { readonly redirect: 'manual' }
}

/** The context of a free call. */
export interface FreeCall {
  readonly signal: AbortSignal
  /** Learns the key's workspace from the reply. */
  readonly session: ApiSession
  /** Called with the reason when the call has to wait. */
  readonly onWait: (why: string) => void
}

/**
 * Makes a free call that changes nothing, and waits out outages. Returns the failure if the API has no such call or rejects
 * it.
 *
 * @throws BatchStreamError if the key, the billing or the connection is at fault
 */
export async function callWithRetry<T>(
  call: (options: CallOptions) => Promise<T>,
  { signal, session, onWait }: FreeCall,
): Promise<{ readonly value: T } | { readonly failure: Failure }> {
  const fetchOptions = { redirect: 'manual' } as const
  const tried = await withRetry(
    () => call({ maxRetries: 0, timeout: IDLE_TIMEOUT_MS, signal, fetchOptions }),
    {
      session,
      signal,
      onWait: ({ message }) => onWait(message),
      // The clock of another endpoint may differ from that of the batches API.
      observe: headers => session.observeOther(headers),
    },
  )
  if ('value' in tried) return tried
  const { kind } = tried.failure
  if (kind === 'notFound' || kind === 'refused') return tried
  throw errorOf('reach the API', tried.failure)
}
