import type { Failure } from '../api/failure.ts'
import { errorOf } from '../api/api.ts'
import { withRetry } from '../api/retry-policy.ts'
import { ApiSession } from '../core/session.ts'
import { SILENCE_MS } from '../core/limits.ts'
import type { Clock } from '../core/clock.ts'
import type { Context } from './context.ts'
import type { Talk } from './talk.ts'

/** What a free call is made with: no second layer of retries, no redirects. */
export interface CallOptions {
  readonly maxRetries: 0
  readonly timeout: number
  readonly signal: AbortSignal
  readonly fetchOptions: { readonly redirect: 'manual' }
}

/** What goes with a free call. */
export interface FreeCall {
  readonly signal: AbortSignal
  /** Learns the key's workspace from the answer. */
  readonly session: ApiSession
  /** Called when the call has to wait, with the reason. */
  readonly onWait: (why: string) => void
}

/** Free calls that are not about a job, or must not tell it its workspace; waits are shown on stderr. */
export function freeCall({ io, talk, signal }: Pick<Context, 'io' | 'talk' | 'signal'>): FreeCall {
  return { signal, session: new ApiSession(io.clock), onWait: waitsAt(talk, io.clock) }
}

/** Says on stderr why a free call has to wait. */
export function waitsAt(talk: Talk, clock: Clock): FreeCall['onWait'] {
  return why => talk.wait(`waiting for the API: ${why}`, clock.elapsed())
}

/**
 * Makes a free call that changes nothing, and waits out outages. Returns the failure where the API has no such call or refuses
 * this one.
 *
 * @throws BatchStreamError where the key, the billing or the connection is at fault
 */
export async function callWithRetry<T>(
  call: (options: CallOptions) => Promise<T>,
  { signal, session, onWait }: FreeCall,
): Promise<{ readonly value: T } | { readonly failure: Failure }> {
  const fetchOptions = { redirect: 'manual' } as const
  const tried = await withRetry(
    () => call({ maxRetries: 0, timeout: SILENCE_MS, signal, fetchOptions }),
    {
      session,
      signal,
      onWait: ({ message }) => onWait(message),
      // The clock of another endpoint need not be that of the batches API.
      observe: headers => session.observeWorkspace(headers),
    },
  )
  if ('value' in tried) return tried
  const { kind } = tried.failure
  if (kind === 'notFound' || kind === 'refused') return tried
  throw errorOf('reach the API', tried.failure)
}
