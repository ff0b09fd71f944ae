/** How often a result set that is incomplete or invalid is downloaded at least before the job accepts or rejects it. */
export const DOWNLOADS = 5

/** What a download of a result set has shown, together with the lines of earlier downloads. */
export type Outcome =
  | { readonly kind: 'complete' }
  /**
   * Some requests have no line; with `isGone`, because the API answered 404. `why` is the reason of their rows if none comes. `odd`:
   * how the stored lines contradict the batch's own counts.
   */
  | {
      readonly kind: 'incomplete'
      readonly isGone: boolean
      readonly why: string
      readonly odd: string | undefined
    }
  /** The download cannot be trusted, and none of its lines were stored. */
  | { readonly kind: 'invalid'; readonly why: string }

/** What follows from an outcome. */
export type Decision =
  /** The stored lines are final. The other requests, if any, are unanswered because of `why`. */
  | { readonly kind: 'accept'; readonly why: string | null }
  /** The stored lines contradict the counts for good. */
  | { readonly kind: 'reject'; readonly why: string }
  /** All downloads were invalid: the results may be those of another batch. */
  | { readonly kind: 'suspect'; readonly why: string }
  /** The set is downloaded again after a pause: that after `failures` failures, but `mostMs` at most. */
  | { readonly kind: 'again'; readonly failures: number; readonly mostMs: number }

/** A time, and what the API says then. */
export interface Now {
  /** By the monotonic clock, in ms: the wall clocks of both sides may be wrong by weeks. */
  readonly now: number
  /** Whether the API says that the results are gone. */
  readonly isArchived: boolean
}

/**
 * The downloads of one result set. What is missing may still come until the settle time has passed since it was first missing; an
 * invalid set becomes no better by waiting.
 */
export class Attempts {
  readonly #settleMs: number
  #short = 0
  #shortSince: number | undefined
  #gone = 0
  #goneSince: number | undefined
  #invalid = 0

  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** Notes a call that failed in another way, so that it is unknown how long a 404 has lasted. */
  interrupt(): void {
    this.#goneSince = undefined
  }

  /** Notes that the API says that the batch was in progress, so that nothing has been missing for any time. */
  restart(): void {
    this.#goneSince = undefined
    this.#shortSince = undefined
  }

  /** Decides what follows from a download. */
  after(outcome: Outcome, { now, isArchived }: Now): Decision {
    if (outcome.kind === 'incomplete' && outcome.isGone) {
      this.#goneSince ??= now
      this.#gone += 1
      const leftMs = isArchived ? 0 : this.#settleMs - (now - this.#goneSince)
      if (leftMs <= 0) return final(outcome)
      return { kind: 'again', failures: this.#gone, mostMs: leftMs }
    }
    this.#goneSince = undefined
    if (outcome.kind === 'complete') return { kind: 'accept', why: null }
    if (outcome.kind === 'invalid') {
      this.#invalid += 1
      if (this.#invalid >= DOWNLOADS) return { kind: 'suspect', why: outcome.why }
      return { kind: 'again', failures: this.#invalid, mostMs: Infinity }
    }
    this.#shortSince ??= now
    this.#short += 1
    const leftMs = isArchived ? 0 : this.#settleMs - (now - this.#shortSince)
    if (this.#short < DOWNLOADS) return { kind: 'again', failures: this.#short, mostMs: Infinity }
    if (leftMs <= 0) return final(outcome)
    return { kind: 'again', failures: this.#short, mostMs: leftMs }
  }
}

/** What no longer changes. */
function final({ odd, why }: { readonly odd: string | undefined; readonly why: string }): Decision {
  return odd === undefined ? { kind: 'accept', why } : { kind: 'reject', why: odd }
}
