import type { MessageParams } from '../flow.ts'
import { priceUnknown } from './ledger.ts'
import type { PriceOf } from './price.ts'
import { showUsd, usdNumber } from './usd.ts'
import { inBatch, ratesFor, worstOf } from './worst.ts'

/**
 * Bytes of a request's JSON for each token, as long as nothing has been counted: English prose has about 3 to 4 by the
 * tokenizer of the model; `--exact` counts.
 */
export const BYTES_PER_TOKEN = 3.5

/** Tokens of an answer, as long as nobody says how long answers are; fewer where max_tokens is lower. */
export const ANSWER_TOKENS = 100

export interface EstimateOptions {
  readonly priceOf: PriceOf
  /** Tokens that an answer is expected to have. @default 100, or max_tokens where that is less */
  readonly answerTokens?: number | undefined
}

/** What a run is expected to take and cost; `usd` is null where a price is unknown, `worst` also where there is no bound. */
export interface Figures {
  readonly requests: number
  readonly tokens: {
    readonly input: number
    readonly output: number
    /** Every answer as long as it may be. */
    readonly output_worst: number
  }
  readonly usd: {
    readonly expected: number | null
    readonly worst: number | null
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

/** Requests of one price. */
interface Group {
  readonly model: string
  readonly isLong: boolean
  readonly geo: unknown
  bytes: number
  output: number
}

/** Adds up requests to what they are expected to cost and to the most that they can cost. Keeps sums alone. */
export class Estimate {
  readonly #priceOf: PriceOf
  readonly #answerTokens: number
  readonly #groups = new Map<string, Group>()
  readonly #unpriced = new Set<string>()
  /** Why there is no bound. */
  #unbounded: string | undefined
  #worst = 0n
  #requests = 0
  #longest = 0

  constructor(options: EstimateOptions) {
    this.#priceOf = options.priceOf
    this.#answerTokens = options.answerTokens ?? ANSWER_TOKENS
  }

  /** Takes in a request; `json` is its params as they are sent. */
  add(params: MessageParams, json: string): void {
    const { model, max_tokens: most } = params
    const geo = params.inference_geo
    const price = this.#priceOf(model)
    const bytes = Buffer.byteLength(json)
    const tokens = bytes / BYTES_PER_TOKEN
    const isLong = price?.long !== undefined && tokens > price.long.above
    const key = `${model} ${isLong} ${geo === 'us'}`
    const group = this.#groups.get(key) ?? { model, isLong, geo, bytes: 0, output: 0 }
    this.#groups.set(key, group)
    group.bytes += bytes
    group.output += Math.min(most, this.#answerTokens)
    this.#requests += 1
    this.#longest += most
    if (!price) this.#unpriced.add(model)
    const worst = worstOf(params, json, this.#priceOf)
    if (typeof worst === 'bigint') this.#worst += worst
    else this.#unbounded ??= worst.why
  }

  /** The most that all of it can cost, in femtodollars; undefined where that is unknown. */
  get worst(): bigint | undefined {
    return this.#unbounded === undefined ? this.#worst : undefined
  }

  /** What it is expected to cost, in femtodollars; undefined where a price is unknown. */
  expected(bytesPerToken: number = BYTES_PER_TOKEN): bigint | undefined {
    return this.#sum(bytesPerToken, inBatch)
  }

  /** What synchronous calls would be expected to cost: no half price. */
  synchronous(bytesPerToken: number = BYTES_PER_TOKEN): bigint | undefined {
    return this.#sum(bytesPerToken, (list, geo) => 2n * inBatch(list, geo))
  }

  #sum(bytesPerToken: number, costOf: (list: bigint, geo: unknown) => bigint): bigint | undefined {
    let sum = 0n
    for (const { model, isLong, geo, bytes, output } of this.#groups.values()) {
      const price = this.#priceOf(model)
      if (!price) return undefined
      const rates = ratesFor(isLong ? Infinity : 0, price)
      const input = BigInt(Math.ceil(bytes / bytesPerToken))
      sum += costOf(input * rates.input + BigInt(output) * rates.output, geo)
    }
    return sum
  }

  /** The figures as JSON says them. */
  figures(bytesPerToken: number = BYTES_PER_TOKEN): Figures {
    const groups = [...this.#groups.values()]
    const bytes = groups.reduce((sum, group) => sum + group.bytes, 0)
    const number = (amount: bigint | undefined): number | null =>
      amount === undefined ? null : usdNumber(amount)
    return {
      requests: this.#requests,
      tokens: {
        input: Math.ceil(bytes / bytesPerToken),
        output: groups.reduce((sum, group) => sum + group.output, 0),
        output_worst: this.#longest,
      },
      usd: {
        expected: number(this.expected(bytesPerToken)),
        worst: number(this.worst),
        synchronous: number(this.synchronous(bytesPerToken)),
      },
    }
  }

  /** One line for people. */
  describe(bytesPerToken: number = BYTES_PER_TOKEN): string {
    const { tokens } = this.figures(bytesPerToken)
    const counts = `about ${tokens.input} input and ${tokens.output} output tokens`
    const expected = this.expected(bytesPerToken)
    const synchronous = this.synchronous(bytesPerToken)
    if (expected === undefined || synchronous === undefined)
      return `${counts}; ${priceUnknown([...this.#unpriced])}`
    const worst = this.worst === undefined ? `no bound: ${this.#unbounded}` : showUsd(this.worst)
    return `${counts}: ${showUsd(expected)} expected, at worst ${worst} (synchronous calls: ${showUsd(synchronous)})`
  }
}
