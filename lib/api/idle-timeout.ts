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
  call: (timer: IdleTimer) => Promise<T>,
): Promise<T> {
  const idle = new AbortController()
  const done = new AbortController()
  let last = clock.elapsed()
  let limit = limitMs
  const watch = async (): Promise<void> => {
    const stop = AbortSignal.any([signal, done.signal])
    for (;;) {
      const left = last + limit - clock.elapsed()
      if (left <= 0) return idle.abort()
      await clock.sleep(left, stop)
    }
  }
  // It rejects only when the call is over or aborted.
  const watching = watch().catch(() => {})
  try {
    return await call({
      signal: AbortSignal.any([signal, idle.signal]),
      moved: (to = limit) => {
        last = clock.elapsed()
        limit = to
      },
    })
  } finally {
    done.abort()
    await watching
  }
}
