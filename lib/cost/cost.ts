import type { Usage } from '../core/results/result.ts'
import type { Price, PriceOf } from './price.ts'
import { DOLLAR } from './usd.ts'
import { ratesFor } from './worst.ts'

/** Tokens of one answer or of many, by what they cost. */
export interface Tokens {
  readonly input: number
  readonly output: number
  readonly write5m: number
  readonly write1h: number
  readonly read: number
}

/** A web search of a server tool costs this, in a batch too. Source: pricing page, 10 USD per 1,000. */
const WEB_SEARCH = DOLLAR / 100n

/** What a line's `usage` counts. Cache writes that are not split by lifetime count as those of five minutes. */
export function tokensOf(usage: Usage): Tokens {
  const split = objectIn(usage['cache_creation'])
  const write5m = countIn(split['ephemeral_5m_input_tokens'])
  const write1h = countIn(split['ephemeral_1h_input_tokens'])
  const written = countIn(usage['cache_creation_input_tokens'])
  return {
    input: countIn(usage['input_tokens']),
    output: countIn(usage['output_tokens']),
    write5m: write5m + Math.max(0, written - write5m - write1h),
    write1h,
    read: countIn(usage['cache_read_input_tokens']),
  }
}

/**
 * What an answer cost, in femtodollars: half the list price, except where `service_tier` says that it was not billed as part
 * of a batch. Undefined where the model's price is unknown.
 */
export function costOf(usage: Usage, model: string, priceOf: PriceOf): bigint | undefined {
  const price = priceOf(model)
  return price && billed(usage, price, shareOf(usage))
}

/** What the same answer would have cost as a synchronous call. */
export function synchronousCost(usage: Usage, model: string, priceOf: PriceOf): bigint | undefined {
  const price = priceOf(model)
  return price && billed(usage, price, 1n)
}

function billed(usage: Usage, price: Price, share: bigint): bigint {
  return sumOf(billedByClass(usage, price, share))
}

/** What is billed apart: the tokens by class, and web searches. */
export type Billed = Readonly<Record<keyof Tokens | 'searches', bigint>>

/** What the classes of an answer cost in a batch, and would have cost as a synchronous call, in femtodollars. */
export function costByClass(
  usage: Usage,
  model: string,
  priceOf: PriceOf,
): { readonly batch: Billed; readonly synchronous: Billed } | undefined {
  const price = priceOf(model)
  return (
    price && {
      batch: billedByClass(usage, price, shareOf(usage)),
      synchronous: billedByClass(usage, price, 1n),
    }
  )
}

export function sumOf(billed: Billed): bigint {
  return Object.values(billed).reduce((sum, part) => sum + part, 0n)
}

function shareOf({ service_tier: tier }: Usage): bigint {
  return tier === 'standard' || tier === 'priority' ? 1n : 2n
}

function billedByClass(usage: Usage, price: Price, share: bigint): Billed {
  const tokens = tokensOf(usage)
  const { input, output, write5m, write1h, read } = tokens
  const rates = ratesFor(input + write5m + write1h + read, price)
  // Inference kept in the US costs 1.1 times as much, in every class. Source: pricing page.
  const geo = usage['inference_geo'] === 'us' ? 11n : 10n
  // Every rate is a whole multiple of what it is divided by here, so the classes add up to the last digit.
  const cost = (count: number, rate: bigint): bigint =>
    // Most classes of most answers are empty, and this runs for each of millions.
    count === 0 ? 0n : (BigInt(count) * rate * geo) / (10n * share)
  const searches = countIn(objectIn(usage['server_tool_use'])['web_search_requests'])
  return {
    input: cost(input, rates.input),
    output: cost(output, rates.output),
    write5m: cost(write5m, rates.write5m),
    write1h: cost(write1h, rates.write1h),
    read: cost(read, rates.read),
    searches: BigInt(searches) * WEB_SEARCH,
  }
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  // Whatever an object holds is checked where it is read.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function countIn(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0
}
