import type { MessageParams } from '../core/flow.ts'
import { BYTES_PER_TOKEN, GUESS, type Calibration } from './calibration.ts'
import { Groups } from './groups.ts'
import { partsOf, type Parts } from './parts.ts'
import { priceUnknown } from './ledger.ts'
import type { PriceOf } from './price.ts'
import { showUsd, usdNumber } from './usd.ts'
import { inBatch, ratesFor, worstOf } from './worst.ts'

/** Tokens of an answer, as long as nobody says how long answers are; fewer where max_tokens is lower. */
export const ANSWER_TOKENS = 100

/** What a run is expected to take and cost; dollars are null where a price is unknown, or how many tokens there are. */
export interface Figures {
  readonly requests: number
  readonly tokens: {
    /** Of text; of images and PDFs too, once some were counted. */
    readonly input: number
    /** How far off `input` may be, as a share of it. */
    readonly input_error: number
    /** Those of `input` that stand in a cached beginning. */
    readonly cached: number
    readonly output: number
    /** Every answer as long as it may be. */
    readonly output_worst: number
  }
  /** Requests with images, PDFs, or what the API brings in, whose tokens are unknown. */
  readonly unknown: number
  readonly usd: {
    /** Answers of one token, input at the low end, the cache at its best. */
    readonly least: number | null
    readonly expected: number | null
    /** The most that it can cost. */
    readonly worst: number | null
    /** What synchronous calls would be expected to cost: no half price. */
    readonly synchronous: number | null
  }
}

/** Requests that have their model and max_tokens in common. */
export interface Uniform {
  readonly model: string
  readonly max_tokens: number
  readonly inference_geo?: unknown
  readonly requests: number
  /** Bytes of the JSON of their params. */
  readonly bytes: number
}

/** What such requests are expected to cost in batches, in femtodollars; undefined where the price is unknown. */
export function expectedOf(asked: Uniform, priceOf: PriceOf): bigint | undefined {
  const { model, max_tokens, inference_geo, requests, bytes } = asked
  const price = priceOf(model)
  if (!price) return undefined
  const input = Math.ceil(bytes / BYTES_PER_TOKEN)
  const rates = ratesFor(input / requests, price)
  const output = requests * Math.min(max_tokens, ANSWER_TOKENS)
  return inBatch(BigInt(input) * rates.input + BigInt(output) * rates.output, inference_geo)
}

/** Adds up requests to what they are expected to cost and to the most that they can cost. Keeps sums alone. */
export class Estimate {
  readonly #priceOf: PriceOf
  readonly #groups: Groups
  readonly #unpriced = new Set<string>()
  /** Why there is no bound. */
  #unbounded: string | undefined
  #worst = 0n
  #requests = 0
  #longest = 0

  constructor(priceOf: PriceOf) {
    this.#priceOf = priceOf
    this.#groups = new Groups(priceOf, ANSWER_TOKENS)
  }

  /** Takes in a request; `json` is its params as they are sent. */
  add(params: MessageParams, json: string, parts: Parts = partsOf(params, json)): void {
    this.#groups.add(params, parts)
    this.#requests += 1
    this.#longest += params.max_tokens
    if (!this.#priceOf(params.model)) this.#unpriced.add(params.model)
    const worst = worstOf(params, json, this.#priceOf)
    if (typeof worst === 'bigint') this.#worst += worst
    else this.#unbounded ??= worst.why
  }

  /** The most that all of it can cost, in femtodollars; undefined where that is unknown. */
  get worst(): bigint | undefined {
    return this.#unbounded === undefined ? this.#worst : undefined
  }

  /** What it is expected to cost, in femtodollars; undefined where that is unknown. */
  expected(calibration: Calibration = GUESS): bigint | undefined {
    return this.#groups.sum(calibration).expected
  }

  /** The figures as JSON says them. */
  figures(calibration: Calibration = GUESS): Figures {
    const { tokens, error, cached, output, unknown, ...usd } = this.#groups.sum(calibration)
    const number = (amount: bigint | undefined): number | null =>
      amount === undefined ? null : usdNumber(amount)
    return {
      requests: this.#requests,
      tokens: {
        input: Math.ceil(tokens),
        input_error: Math.ceil(error * 1000) / 1000,
        cached: Math.ceil(cached),
        output,
        output_worst: this.#longest,
      },
      unknown,
      usd: {
        least: number(usd.least),
        expected: number(usd.expected),
        worst: number(this.worst),
        synchronous: number(usd.synchronous),
      },
    }
  }

  /** The dollars in one line for people. */
  dollars(calibration: Calibration = GUESS): string {
    if (this.#unpriced.size > 0) return priceUnknown([...this.#unpriced])
    const { least = 0n, expected, synchronous = 0n, unknown } = this.#groups.sum(calibration)
    const worst = this.worst === undefined ? `no bound: ${this.#unbounded}` : showUsd(this.worst)
    const range = `at least ${showUsd(least)}, at worst ${worst}`
    if (expected !== undefined)
      return `${showUsd(expected)} expected, ${range} (synchronous calls: ${showUsd(synchronous)})`
    return `expected is unknown, since ${unknown} of ${this.#requests} requests hold what has no known number of tokens; ${range}`
  }

  /** One line for people. */
  describe(): string {
    const { tokens } = this.figures()
    return `about ${tokens.input} input and ${tokens.output} output tokens: ${this.dollars()}`
  }
}
