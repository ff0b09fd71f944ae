/** Tokens per unit, and the relative error of that number. */
export interface Rate {
  readonly per: number
  readonly error: number
}

/** How tokens are estimated from a request's content, for each model. */
export interface Calibration {
  /** Tokens per byte of text. */
  readonly text: (model: string) => Rate
  /** Tokens per request with images or PDFs; undefined if none was counted. */
  readonly media: (model: string) => Rate | undefined
}

/**
 * Bytes of a request's JSON per token until tokens are counted. English prose has 3 to 4, depending on the model; other
 * languages have fewer.
 */
export const BYTES_PER_TOKEN = 3.5

/** Used until tokens are counted. For English prose it is seldom further off. */
export const GUESS: Calibration = {
  text: () => ({ per: 1 / BYTES_PER_TOKEN, error: 0.3 }),
  media: () => undefined,
}

/** One counted request of a sample: its size in units of the rate, and its tokens. */
export interface Counted {
  readonly base: number
  readonly tokens: number
}

/**
 * Tokens per unit from a random sample of `all` requests, with a margin that holds 19 times in 20. A complete sample has no
 * error.
 */
export function rateOf(sample: readonly Counted[], all: number): Rate {
  const base = sample.reduce((sum, one) => sum + one.base, 0)
  const tokens = sample.reduce((sum, one) => sum + one.tokens, 0)
  const per = tokens / base
  if (sample.length >= all) return { per, error: 0 }
  if (sample.length < 2 || tokens === 0) return { per, error: 1 }
  const squares = sample.reduce((sum, one) => sum + (one.tokens - per * one.base) ** 2, 0)
  const variance = squares / (sample.length - 1)
  const ofMean = Math.sqrt((variance / sample.length) * (1 - sample.length / all))
  return { per, error: (2 * ofMean * sample.length) / tokens }
}
