import { wholeNumber, wrongOption } from './errors.ts'

/** Waits between tries of one call, in ms: `first`, doubled with each further failure up to `most`. */
export interface Backoff {
  /** @default 500 */
  /** Ms before the first retry, from 0. The default is that of the API's SDK. */
  readonly first?: number | undefined
  /** @default 60000 */
  /** Maximum ms between two tries, at least `first`. */
  readonly most?: number | undefined
}

/** A backoff with its defaults filled in. */
export interface Waits {
  readonly first: number
  readonly most: number
}

/** The same initial wait as the API's SDK, growing to a minute. */
export const DEFAULT_BACKOFF: Waits = { first: 500, most: 60_000 }

/**
 * Fills in the defaults.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function backoffOf(given: Backoff = {}): Waits {
  if (typeof given !== 'object' || given === null) throw wrongOption('backoff', 'an object', given)
  const { first, most } = given
  const least = wholeNumber('backoff.first', first ?? DEFAULT_BACKOFF.first, 0, 2 ** 31 - 1)
  return {
    first: least,
    most: wholeNumber(
      'backoff.most',
      most ?? Math.max(DEFAULT_BACKOFF.most, least),
      least,
      2 ** 31 - 1,
    ),
  }
}
