import { DEFAULT_BACKOFF, type Waits } from '../core/backoff.ts'
import type { ApiSession } from '../core/session.ts'
import { BatchStreamError } from '../core/errors.ts'
import { failureOf, type Failure } from './failure.ts'
import { isSdkError } from './sdk-error.ts'

/** Tries for malformed replies (a proxy's page, truncated JSON). */
const MALFORMED_TRIES = 5

/** Tries while the API has never replied: the address is probably wrong, and nothing is in flight. */
const FIRST_CONTACT_TRIES = 6

/** How long an API that has replied before may be unreachable: a batch takes up to 24 hours anyway. */
const LONGEST_OUTAGE_MS = 24 * 60 * 60 * 1000

export interface Trouble {
  /** Failures in a row, this one included. */
  readonly failures: number
  /** How many of the last of them were malformed replies. */
  readonly malformed: number
  /** Ms since the first failure. */
  readonly forMs: number
  /** Whether the API has ever replied to this process. */
  readonly answered: boolean
  /** From 0 to 1. */
  readonly random: number
  /** The shortest and the longest wait. */
  readonly waits?: Waits | undefined
}

/** How long to wait before the next try, in ms; null to give up. Reads are free, so they outlast long outages. */
export function waitBeforeRetry(failure: Failure, trouble: Trouble): number | null {
  switch (failure.kind) {
    case 'network':
    case 'server':
    case 'busy':
      if (!trouble.answered && trouble.failures >= FIRST_CONTACT_TRIES) return null
      if (trouble.forMs >= LONGEST_OUTAGE_MS) return null
      // A busy API that names no wait still gets one.
      if (failure.retryAfterMs === undefined) return backoff(trouble)
      return Math.max(failure.retryAfterMs, (trouble.waits ?? DEFAULT_BACKOFF).first)
    case 'malformed':
      return trouble.malformed < MALFORMED_TRIES ? backoff(trouble) : null
    default:
      return null
  }
}

/** Exponential backoff, shortened by up to a quarter so that clients that failed together do not retry together. */
export function backoff({
  failures,
  random,
  waits = DEFAULT_BACKOFF,
}: Pick<Trouble, 'failures' | 'random' | 'waits'>): number {
  const wait = Math.min(waits.first * 2 ** Math.min(failures - 1, 20), waits.most)
  return wait * (1 - random * 0.25)
}

/** Ms to wait after so many failures in a row, by the session's backoff. */
export function pauseAfter(failures: number, { waits }: ApiSession): number {
  return backoff({ failures, random: Math.random(), waits })
}

/** Counts the failures of one call and decides how long to wait before the next try. */
export class Retries {
  readonly #session: ApiSession
  readonly #began: number
  #failures = 0
  #malformed = 0

  constructor(session: ApiSession) {
    this.#session = session
    this.#began = session.clock.elapsed()
  }

  /** Failures so far, counted by `next`. */
  get failures(): number {
    return this.#failures
  }

  /** Ms since the first try. */
  get forMs(): number {
    return this.#session.clock.elapsed() - this.#began
  }

  /** Ms to wait after this failure before retrying; null to give up. */
  next(failure: Failure): number | null {
    this.#failures += 1
    this.#malformed = failure.kind === 'malformed' ? this.#malformed + 1 : 0
    const { failures, forMs } = this
    const malformed = this.#malformed
    const { answered, waits } = this.#session
    return waitBeforeRetry(failure, {
      failures,
      malformed,
      forMs,
      answered,
      waits,
      random: Math.random(),
    })
  }
}

export interface RetryContext {
  readonly session: ApiSession
  readonly signal: AbortSignal
  /**
   * How often the call is tried at most, whatever its failures are.
   * @default as often as they are worth it
   */
  readonly maxTries?: number | undefined
  /** Called before each wait. */
  readonly onWait?: ((failure: Failure, waitMs: number) => void) | undefined
  /** Takes each wait. */
  readonly during?: ((wait: Promise<void>) => Promise<void>) | undefined
  /**
   * Called with the headers of an error reply.
   * @default the session observes them
   */
  readonly observe?: ((headers: Headers) => Promise<void>) | undefined
}

/** Classifies what a call threw, after the session has observed the reply's headers, if there was a reply. */
export async function observeFailure(
  cause: unknown,
  session: ApiSession,
  observe: (headers: Headers) => Promise<void> = headers => session.observe(headers),
): Promise<Failure> {
  if (isSdkError(cause) && cause.headers) await observe(cause.headers)
  return failureOf(cause, session.serverTime.nowOrOurs())
}

/**
 * Makes a free call and retries it while its failures are worth another try. Returns the failure that ended it. Errors of
 * this package and aborts are thrown at once.
 */
export async function withRetry<T>(
  call: () => Promise<T>,
  { session, signal, maxTries = Infinity, onWait, during, observe }: RetryContext,
): Promise<{ readonly value: T } | { readonly failure: Failure }> {
  const retries = new Retries(session)
  for (;;) {
    try {
      return { value: await call() }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof BatchStreamError) throw cause
      const failure = await observeFailure(cause, session, observe)
      const waitMs = retries.next(failure)
      if (waitMs === null || retries.failures >= maxTries) return { failure }
      onWait?.(failure, waitMs)
      const wait = session.clock.sleep(waitMs, signal)
      await (during?.(wait) ?? wait)
    }
  }
}
