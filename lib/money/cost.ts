import type { Usage } from '../results/result.ts'
import type { Price, PriceOf } from './price.ts'
import { DOLLAR } from './usd.ts'

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
  const tier = usage['service_tier']
  const isBatch = tier !== 'standard' && tier !== 'priority'
  const price = priceOf(model)
  return price && billed(usage, price, isBatch ? 2n : 1n)
}

/** What the same answer would have cost as a synchronous call. */
export function synchronousCost(usage: Usage, model: string, priceOf: PriceOf): bigint | undefined {
  const price = priceOf(model)
  return price && billed(usage, price, 1n)
}

function billed(usage: Usage, price: Price, share: bigint): bigint {
  const list = listCost(tokensOf(usage), price)
  const searches = countIn(objectIn(usage['server_tool_use'])['web_search_requests'])
  // Inference kept in the US costs 1.1 times as much, in every class. Source: pricing page.
  const geo = usage['inference_geo'] === 'us' ? 11n : 10n
  return (list * geo) / (10n * share) + BigInt(searches) * WEB_SEARCH
}

/** The list price of tokens that one request used. */
export function listCost(tokens: Tokens, price: Price): bigint {
  const { input, output, write5m, write1h, read } = tokens
  const prompt = input + write5m + write1h + read
  const rates = price.long && prompt > price.long.above ? price.long.rates : price.rates
  return (
    BigInt(input) * rates.input +
    BigInt(output) * rates.output +
    BigInt(write5m) * rates.write5m +
    BigInt(write1h) * rates.write1h +
    BigInt(read) * rates.read
  )
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  // Whatever an object holds is checked where it is read.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function countIn(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0
}
