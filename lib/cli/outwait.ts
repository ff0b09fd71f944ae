import { errorOf } from '../api/api.ts'
import { failureOf, type Failure } from '../api/failure.ts'
import { waitBeforeRetry } from '../api/patience.ts'
import { isSdkError } from '../api/sdk-error.ts'
import { systemClock } from '../clock.ts'
import { SILENCE_MS } from '../limits.ts'
import type { Talk } from './talk.ts'

/** What a free call is made with: no second layer of retries, no redirects. */
export interface CallOptions {
  readonly maxRetries: 0
  readonly timeout: number
  readonly signal: AbortSignal
  readonly fetchOptions: { readonly redirect: 'manual' }
}

/** What goes with a free call. */
export interface Outwaited {
  readonly signal: AbortSignal
  /** Told why the call has to wait. */
  readonly onWait: (why: string) => void
  /** Told the headers of an answer that is an error, too: they say whose key it is. */
  readonly hear?: (headers: Headers) => Promise<void>
}

/** Says on stderr why a free call has to wait. */
export function waitsAt(talk: Talk): Outwaited['onWait'] {
  return why => talk.wait(`waiting for the API: ${why}`, systemClock.elapsed())
}

/**
 * Makes a free call that changes nothing, outages waited out. Gives the failure where the API has no such call or refuses
 * this one.
 *
 * @throws BatchStreamError where the key, the billing or the connection is at fault
 */
export async function outwait<T>(
  call: (options: CallOptions) => Promise<T>,
  { signal, onWait, hear }: Outwaited,
): Promise<{ readonly value: T } | { readonly failure: Failure }> {
  const fetchOptions = { redirect: 'manual' } as const
  const began = systemClock.elapsed()
  let known = false
  let failures = 0
  for (;;) {
    try {
      return { value: await call({ maxRetries: 0, timeout: SILENCE_MS, signal, fetchOptions }) }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (isSdkError(cause) && cause.headers) await hear?.(cause.headers)
      const failure = failureOf(cause, systemClock.now())
      known ||= failure.status !== null
      failures += 1
      const forMs = systemClock.elapsed() - began
      const waitMs = waitBeforeRetry(failure, { failures, forMs, known, random: Math.random() })
      if (waitMs === null) return settled(failure)
      onWait(failure.message)
      await systemClock.sleep(waitMs, signal)
    }
  }
}

function settled(failure: Failure): { readonly failure: Failure } {
  if (failure.kind === 'gone' || failure.kind === 'refused') return { failure }
  throw errorOf('reach the API', failure)
}
