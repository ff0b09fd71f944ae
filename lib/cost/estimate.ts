import type { MessageParams } from '../core/flow.ts'
import { BYTES_PER_TOKEN, GUESS, type Calibration } from './calibration.ts'
import { Groups } from './groups.ts'
import { partsOf, type RequestParts } from './parts.ts'
import { priceUnknown } from './ledger.ts'
import type { PriceOf } from './price.ts'
import { showUsd, usdNumber } from './usd.ts'
import { inBatch, ratesFor, worstOf } from './worst.ts'

/** Expected tokens of an answer until its length is known, capped by max_tokens. */
export const ANSWER_TOKENS = 100

/** Expected tokens and cost of a run. Dollars are null if a price or a number of tokens is unknown. */
export interface EstimateFigures {
  readonly requests: number
  readonly tokens: {
    /** Of text; includes images and PDFs once some were counted. */
    readonly input: number
    /** The relative error of `input`. */
    readonly input_error: number
    /** The part of `input` in cached prefixes. */
    readonly cached: number
    readonly output: number
    /** If every answer uses its max_tokens. */
    readonly output_worst: number
  }
  /** Requests with images, PDFs or content that the API adds, whose tokens are unknown. */
  readonly unknown: number
  readonly usd: {
    /** Answers of one token, input at its low end, the best cache hit rate. */
    readonly least: number | null
    readonly expected: number | null
    /** The most that the run can cost. */
    readonly worst: number | null
    /** The expected cost as synchronous calls, without the batch discount. */
    readonly synchronous: number | null
  }
}

/** Requests with the same model and max_tokens. */
export interface Uniform {
  readonly model: string
  readonly max_tokens: number
  readonly inference_geo?: unknown
  readonly requests: number
  /** Bytes of the JSON of their params. */
  readonly bytes: number
}

/** The expected cost of such requests in batches, in femtodollars; undefined if the price is unknown. */
export function expectedOf(asked: Uniform, priceOf: PriceOf): bigint | undefined {
  const { model, max_tokens, inference_geo, requests, bytes } = asked
  const price = priceOf(model)
  if (!price) return undefined
  const input = Math.ceil(bytes / BYTES_PER_TOKEN)
  const rates = ratesFor(input / requests, price)
  const output = requests * Math.min(max_tokens, ANSWER_TOKENS)
  return inBatch(BigInt(input) * rates.input + BigInt(output) * rates.output, inference_geo)
}

/** Adds up the expected and the worst-case cost of requests. It keeps only sums. */
export class Estimate {
  readonly #priceOf: PriceOf
  readonly #groups: Groups
  readonly #unpriced = new Set<string>()
  /** Why there is no worst case. */
  #unbounded: string | undefined
  #worst = 0n
  #requests = 0
  #longest = 0

  constructor(priceOf: PriceOf) {
    this.#priceOf = priceOf
    this.#groups = new Groups(priceOf, ANSWER_TOKENS)
  }

  /** Adds a request; `json` is its serialized params. */
  add(params: MessageParams, json: string, parts: RequestParts = partsOf(params, json)): void {
    this.#groups.add(params, parts)
    this.#requests += 1
    this.#longest += params.max_tokens
    if (!this.#priceOf(params.model)) this.#unpriced.add(params.model)
    const worst = worstOf(params, json, this.#priceOf)
    if (typeof worst === 'bigint') this.#worst += worst
    else this.#unbounded ??= worst.why
  }

  /** The worst case in femtodollars; undefined if there is no bound. */
  get worst(): bigint | undefined {
    return this.#unbounded === undefined ? this.#worst : undefined
  }

  /** The expected cost in femtodollars; undefined if it is unknown. */
  expected(calibration: Calibration = GUESS): bigint | undefined {
    return this.#groups.sum(calibration).expected
  }

  /** The figures for JSON output. */
  figures(calibration: Calibration = GUESS): EstimateFigures {
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

  /** The cost as one readable line. */
  dollars(calibration: Calibration = GUESS): string {
    if (this.#unpriced.size > 0) return priceUnknown([...this.#unpriced])
    const { least = 0n, expected, synchronous = 0n, unknown } = this.#groups.sum(calibration)
    const worst = this.worst === undefined ? `no bound: ${this.#unbounded}` : showUsd(this.worst)
    const range = `at least ${showUsd(least)}, at worst ${worst}`
    if (expected !== undefined)
      return `${showUsd(expected)} expected, ${range} (synchronous calls: ${showUsd(synchronous)})`
    return `expected cost unknown: ${unknown} of ${this.#requests} requests have an unknown number of tokens; ${range}`
  }

  /** Tokens and cost as one readable line. */
  describe(): string {
    const { tokens } = this.figures()
    return `about ${tokens.input} input and ${tokens.output} output tokens: ${this.dollars()}`
  }
}
