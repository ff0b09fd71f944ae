import type { MessageParams } from '../core/flow.ts'
import { BYTES_PER_TOKEN, type Calibration } from './calibration.ts'
import { LEAST_OF_ALL, leastCached } from './least-cached.ts'
import type { RequestParts } from './parts.ts'
import type { Prefix } from './prefix.ts'
import type { PriceOf, Rates } from './price.ts'
import { inBatch, ratesFor } from './worst.ts'

/** Requests of a model with a long-prompt price are grouped by size in steps of this many bytes, up to 100 steps. */
const SIZE_CLASS = 10_000

/**
 * Share of repeated prefixes that a batch reads from the cache. The order of requests is unknown, and each one that runs
 * before the prefix is cached pays for a write. Source: API docs "Batch processing", 30 to 98 percent.
 */
const HITS = { best: 0.98, expected: 0.64 } as const

/** Prefixes that are remembered to recognise repeats. */
const REMEMBERED = 1000

/** Requests that share a price. */
interface PriceGroup {
  readonly model: string
  readonly geo: unknown
  readonly isMedia: boolean
  /** Whether the API adds content of unknown size. */
  readonly hasApiContent: boolean
  requests: number
  /** Bytes of text, prefixes included. */
  text: number
  /** Bytes of cached prefixes: first occurrences are written, repeats may be read. */
  readonly first: { hour: number; minutes: number }
  readonly again: { hour: number; minutes: number }
  output: number
}

/** Tokens as numbers, dollars in femtodollars; undefined if unknown. */
export interface GroupTotals {
  readonly tokens: number
  readonly error: number
  readonly cached: number
  readonly output: number
  readonly unknown: number
  readonly least: bigint | undefined
  readonly expected: bigint | undefined
  readonly synchronous: bigint | undefined
}

/** Sums of requests that share a price. A calibration turns them into tokens and dollars. */
export class Groups {
  readonly #priceOf: PriceOf
  readonly #answerTokens: number
  readonly #groups = new Map<string, PriceGroup>()
  readonly #seen = new Set<string>()

  constructor(priceOf: PriceOf, answerTokens: number) {
    this.#priceOf = priceOf
    this.#answerTokens = answerTokens
  }

  add(params: MessageParams, parts: RequestParts): void {
    const group = this.#groupOf(params, parts)
    group.requests += 1
    group.text += parts.text
    group.output += Math.min(params.max_tokens, this.#answerTokens)
    const { prefix } = parts
    if (!prefix || isTooShort(params.model, prefix)) return
    const sum = this.#isKnown(prefix) ? group.again : group.first
    sum[prefix.isHour ? 'hour' : 'minutes'] += prefix.bytes
  }

  #groupOf({ model, inference_geo: geo }: MessageParams, parts: RequestParts): PriceGroup {
    const isMedia = parts.media > 0
    const hasApiContent = parts.apiContent !== undefined
    const hasLong = this.#priceOf(model)?.long !== undefined
    const size = hasLong ? Math.min(100, Math.floor(parts.text / SIZE_CLASS)) : 0
    const key = `${model} ${geo === 'us'} ${isMedia} ${hasApiContent} ${size}`
    const known = this.#groups.get(key)
    if (known) return known
    const group: PriceGroup = {
      ...{ model, geo, isMedia, hasApiContent, requests: 0, text: 0, output: 0 },
      first: { hour: 0, minutes: 0 },
      again: { hour: 0, minutes: 0 },
    }
    this.#groups.set(key, group)
    return group
  }

  #isKnown({ key }: Prefix): boolean {
    if (this.#seen.has(key)) return true
    if (this.#seen.size < REMEMBERED) this.#seen.add(key)
    return false
  }

  sum(calibration: Calibration): GroupTotals {
    const sum = { tokens: 0, squares: 0, cached: 0, output: 0, unknown: 0 }
    const usd = { least: 0n, expected: 0n, synchronous: 0n }
    let isPriced = true
    for (const group of this.#groups.values()) {
      const { input, cached, error, isKnown } = tokensOf(group, calibration)
      sum.tokens += input
      sum.squares += (input * error) ** 2
      sum.cached += cached
      sum.output += group.output
      if (!isKnown) sum.unknown += group.requests
      const price = this.#priceOf(group.model)
      if (!price) {
        isPriced = false
        continue
      }
      const rates = ratesFor(input / group.requests, price)
      const output = BigInt(group.output) * rates.output
      const asExpected = inputCost(group, input, cached, rates, HITS.expected) + output
      const answers = BigInt(group.requests) * rates.output
      const atBest = inputCost(group, input, cached, rates, HITS.best)
      const low = scaled(atBest, 1 - Math.min(1, error))
      usd.least += inBatch(low + answers, group.geo)
      usd.expected += inBatch(asExpected, group.geo)
      usd.synchronous += 2n * inBatch(asExpected, group.geo)
    }
    const isKnown = isPriced && sum.unknown === 0
    return {
      ...{ tokens: sum.tokens, cached: sum.cached, output: sum.output, unknown: sum.unknown },
      error: sum.tokens === 0 ? 0 : Math.sqrt(sum.squares) / sum.tokens,
      least: isPriced ? usd.least : undefined,
      expected: isKnown ? usd.expected : undefined,
      synchronous: isKnown ? usd.synchronous : undefined,
    }
  }
}

/** Whether a prefix is too short to be cached by a model. */
function isTooShort(model: string, { bytes }: Prefix): boolean {
  return bytes / BYTES_PER_TOKEN < (leastCached(model) ?? LEAST_OF_ALL)
}

/** A group's input tokens, and those of them in cached prefixes. If media tokens are unknown, only the text counts. */
function tokensOf(
  group: PriceGroup,
  { text, media }: Calibration,
): { input: number; cached: number; error: number; isKnown: boolean } {
  const { model, requests, first, again, isMedia, hasApiContent } = group
  const ofText = text(model)
  const ofMedia = isMedia ? media(model) : undefined
  const input = ofMedia ? requests * ofMedia.per : group.text * ofText.per
  const beginnings = first.hour + first.minutes + again.hour + again.minutes
  return {
    input,
    cached: Math.min(input, beginnings * ofText.per),
    error: (ofMedia ?? ofText).error,
    isKnown: !hasApiContent && (!isMedia || ofMedia !== undefined),
  }
}

/** The list price of a group's input at this cache hit rate. */
function inputCost(
  { first, again }: PriceGroup,
  input: number,
  cached: number,
  rates: Rates,
  hits: number,
): bigint {
  const beginnings = first.hour + first.minutes + again.hour + again.minutes
  const plain = BigInt(Math.ceil(input - cached)) * rates.input
  if (beginnings === 0) return plain
  const tokens = (bytes: number): bigint => BigInt(Math.ceil((bytes / beginnings) * cached))
  return (
    plain +
    tokens(first.hour + again.hour * (1 - hits)) * rates.write1h +
    tokens(first.minutes + again.minutes * (1 - hits)) * rates.write5m +
    tokens((again.hour + again.minutes) * hits) * rates.read
  )
}

function scaled(amount: bigint, share: number): bigint {
  return (amount * BigInt(Math.floor(share * 1e6))) / 1_000_000n
}
