/** How many tokens there are for each unit of something, and how far off that may be, as a share of it. */
export interface Rate {
  readonly per: number
  readonly error: number
}

/** How tokens follow from what a request is made of, for each model. */
export interface Calibration {
  /** Tokens for each byte of text. */
  readonly text: (model: string) => Rate
  /** Tokens of a request with images or PDFs, as a whole; undefined where nobody has counted any. */
  readonly media: (model: string) => Rate | undefined
}

/**
 * Bytes of a request's JSON for each token, as long as nothing has been counted: English prose has about 3 to 4 by the
 * tokenizer of the model, other languages fewer.
 */
export const BYTES_PER_TOKEN = 3.5

/** As long as nothing has been counted; of English prose it is seldom farther off. */
export const GUESS: Calibration = {
  text: () => ({ per: 1 / BYTES_PER_TOKEN, error: 0.3 }),
  media: () => undefined,
}

/** One request of a sample: how much there is of it, and the tokens that were counted. */
export interface Counted {
  readonly base: number
  readonly tokens: number
}

/**
 * Tokens for each unit by a random sample of `all` requests, with a margin that holds 19 times of 20. A sample of everything
 * has no error.
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
