import type { Clock } from '../core/clock.ts'

/** What a call that runs under an idle timeout receives. */
export interface IdleTimer {
  /** Aborts after `limitMs` without progress, and with the outer signal. */
  readonly signal: AbortSignal
  /** Restarts the timer; `limitMs` replaces the limit from here on. */
  moved(limitMs?: number): void
}

/**
 * Runs a call and aborts it after `limitMs` without progress. The SDK's own timer ends with the headers of a reply, so a
 * stalled upload or body would otherwise hang.
 */
export async function withIdleTimeout<T>(
  { clock, signal, limitMs }: { clock: Clock; signal: AbortSignal; limitMs: number },
  run: (timer: IdleTimer) => Promise<T>,
): Promise<T> {
  // Not AbortSignal.any: Node keeps such a signal and its listeners, which may hold a reply, for as long as the outer signal.
  const call = new AbortController()
  const done = new AbortController()
  const stop = (): void => call.abort(signal.reason)
  call.signal.addEventListener('abort', () => done.abort())
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  let last = clock.elapsed()
  let limit = limitMs
  const watch = async (): Promise<void> => {
    while (!done.signal.aborted) {
      const left = last + limit - clock.elapsed()
      if (left <= 0) return call.abort()
      await clock.sleep(left, done.signal)
    }
  }
  // It rejects only when the call is over or aborted.
  const watching = watch().catch(() => {})
  try {
    return await run({
      signal: call.signal,
      moved: (to = limit) => {
        last = clock.elapsed()
        limit = to
      },
    })
  } finally {
    done.abort()
    signal.removeEventListener('abort', stop)
    await watching
  }
}
