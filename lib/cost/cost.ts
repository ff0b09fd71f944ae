import type { Usage } from '../core/results/result.ts'
import type { Status } from '../core/results/status.ts'
import type { Price, PriceOf } from './price.ts'
import { DOLLAR } from './usd.ts'
import { ratesFor } from './worst.ts'

/** Tokens of one answer or many, by price class. */
export interface Tokens {
  readonly input: number
  readonly output: number
  readonly write5m: number
  readonly write1h: number
  readonly read: number
}

/** Far more tokens than a request can have. */
const MAX_TOKENS = 100_000_000

/** Price of one web search by a server tool, also in a batch. Source: pricing page, 10 USD per 1,000. */
const WEB_SEARCH = DOLLAR / 100n

/**
 * The tokens in a line's `usage`, with those of compactions. Cache writes that are not split by lifetime count as one-hour writes: a
 * gateway may have left the split out, and those cost more.
 */
export function tokensOf(usage: Usage): Tokens {
  return compactionsIn(usage).map(listedIn).reduce(addTokens, listedIn(usage))
}

/** Summaries that the API made of the context, which the other counts of a usage leave out. Source: the SDK's types of `usage.iterations`. */
function compactionsIn({ iterations }: Usage): readonly Usage[] {
  if (!Array.isArray(iterations)) return []
  return iterations.map(objectIn).filter(({ type }) => type === 'compaction')
}

/** Adds tokens class by class. */
export function addTokens(a: Tokens, b: Tokens): Tokens {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    write5m: a.write5m + b.write5m,
    write1h: a.write1h + b.write1h,
    read: a.read + b.read,
  }
}

function listedIn(usage: Usage): Tokens {
  const split = objectIn(usage['cache_creation'])
  const write5m = countIn(split['ephemeral_5m_input_tokens'])
  const write1h = countIn(split['ephemeral_1h_input_tokens'])
  const written = countIn(usage['cache_creation_input_tokens'])
  return {
    input: countIn(usage['input_tokens']),
    output: countIn(usage['output_tokens']),
    write5m,
    write1h: write1h + Math.max(0, written - write5m - write1h),
    read: countIn(usage['cache_read_input_tokens']),
  }
}

/**
 * Whether a usage says what was billed: its input and output tokens are counts, and so is each other count that it has. A gateway may
 * leave them out, change them or fill in zeros, and such an answer must not look free: every prompt has tokens. An answer may have
 * none, as a refusal.
 */
export function isUsable(usage: Usage): boolean {
  const { iterations } = usage
  if (iterations !== undefined && iterations !== null && !Array.isArray(iterations)) return false
  // An advisor is another model, with prices of its own.
  if (Array.isArray(iterations) && iterations.some(one => objectIn(one)['type'] === ADVISOR))
    return false
  return [usage, ...compactionsIn(usage)].every(saysAll)
}

/** Whether the tokens of an answer are left out, as far as its status is known: only a refusal may have none. */
export function lacksOutput({ output }: Tokens, status: Status | undefined): boolean {
  return status !== undefined && status !== 'refused' && output === 0
}

function saysAll(usage: Usage): boolean {
  const { input_tokens: input, output_tokens: output, cache_creation: split } = usage
  if (!isCount(input) || !isCount(output)) return false
  const { cache_creation_input_tokens: written, cache_read_input_tokens: read } = usage
  if (!isMissingOrCount(written) || !isMissingOrCount(read)) return false
  if (!areCounts(split, WRITES) || !areCounts(usage['server_tool_use'], SEARCHES)) return false
  return input > 0 || promptOf(usage) > 0
}

/** The tokens of a prompt, cached or not. */
function promptOf(usage: Usage): number {
  const { input, write5m, write1h, read } = listedIn(usage)
  return input + write5m + write1h + read
}

function searchesOf(usage: Usage): number {
  return countIn(objectIn(usage['server_tool_use'])['web_search_requests'])
}

const WRITES = ['ephemeral_5m_input_tokens', 'ephemeral_1h_input_tokens']
const SEARCHES = ['web_search_requests']
const ADVISOR = 'advisor_message'

/** Whether an object is missing or has no invalid count under these names. */
function areCounts(value: unknown, names: readonly string[]): boolean {
  if (value === undefined || value === null) return true
  if (typeof value !== 'object' || Array.isArray(value)) return false
  const counts = objectIn(value)
  return names.every(name => isMissingOrCount(counts[name]))
}

function isMissingOrCount(value: unknown): boolean {
  return value === undefined || value === null || isCount(value)
}

function isCount(value: unknown): value is number {
  // Only a number is an integer.
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS
}

/** What an answer cost in a batch, and what it would have cost as a synchronous call, in femtodollars. */
export interface Costs {
  readonly batch: bigint
  readonly synchronous: bigint
}

/**
 * Both costs of an answer. In a batch it is half the list price, unless `service_tier` says that it was not billed as part of
 * one. Undefined if the model's price is unknown or the usage does not say what was billed.
 */
export function costsOf(usage: Usage, model: string, priceOf: PriceOf): Costs | undefined {
  const price = priceOf(model)
  if (!price || !isUsable(usage)) return undefined
  const classes = billedByClass(usage, price, 1n)
  const synchronous = sumOf(classes)
  // A search costs the same in a batch.
  const { searches } = classes
  return { batch: (synchronous - searches) / shareOf(usage) + searches, synchronous }
}

/** The cost of an answer in a batch. */
export function costOf(usage: Usage, model: string, priceOf: PriceOf): bigint | undefined {
  return costsOf(usage, model, priceOf)?.batch
}

/** What is billed separately: each class of tokens, and web searches. */
export type Billed = Readonly<Record<keyof Tokens | 'searches', bigint>>

/**
 * The cost of each class of an answer, in a batch and as a synchronous call, in femtodollars. Undefined if the model's
 * price is unknown or the usage does not say what was billed.
 */
export function costByClass(
  usage: Usage,
  model: string,
  priceOf: PriceOf,
): { readonly batch: Billed; readonly synchronous: Billed } | undefined {
  const price = priceOf(model)
  if (!price || !isUsable(usage)) return undefined
  return {
    batch: billedByClass(usage, price, shareOf(usage)),
    synchronous: billedByClass(usage, price, 1n),
  }
}

export function sumOf({ input, output, write5m, write1h, read, searches }: Billed): bigint {
  return input + output + write5m + write1h + read + searches
}

function shareOf({ service_tier: tier }: Usage): bigint {
  return tier === 'standard' || tier === 'priority' ? 1n : 2n
}

function billedByClass(usage: Usage, price: Price, share: bigint): Billed {
  const tokens = tokensOf(usage)
  const { input, output, write5m, write1h, read } = tokens
  const rates = ratesFor(input + write5m + write1h + read, price)
  // Inference in the US costs 1.1 times as much in every class. Source: pricing page.
  const geo = usage['inference_geo'] === 'us' ? 11n : 10n
  // Every rate is a multiple of the divisor, so the classes add up to the last digit.
  const cost = (count: number, rate: bigint): bigint =>
    // Most classes of most answers are empty, and this runs for millions of answers.
    count === 0 ? 0n : (BigInt(count) * rate * geo) / (10n * share)
  return {
    input: cost(input, rates.input),
    output: cost(output, rates.output),
    write5m: cost(write5m, rates.write5m),
    write1h: cost(write1h, rates.write1h),
    read: cost(read, rates.read),
    searches: BigInt(searchesOf(usage)) * WEB_SEARCH,
  }
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  // Every member is checked where it is read.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function countIn(value: unknown): number {
  return isCount(value) ? value : 0
}
