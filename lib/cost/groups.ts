import type { MessageParams } from '../core/flow.ts'
import { BYTES_PER_TOKEN, type Calibration } from './calibration.ts'
import { LEAST_OF_ALL, leastCached } from './least-cached.ts'
import type { Parts } from './parts.ts'
import type { Prefix } from './prefix.ts'
import type { PriceOf, Rates } from './price.ts'
import { inBatch, ratesFor } from './worst.ts'

/** Bytes by which requests of a model with a price for long prompts are told apart, up to a hundred times as many. */
const SIZE_CLASS = 10_000

/**
 * Share of the repeated beginnings that a batch reads from the cache: nobody knows which request comes first, and each that
 * comes before it is written pays for a write. Source: API docs "Batch processing", 30 to 98 percent.
 */
const HITS = { best: 0.98, expected: 0.64 } as const

/** Beginnings that are remembered, to know one that comes again. */
const REMEMBERED = 1000

/** Requests of one price. */
interface Group {
  readonly model: string
  readonly geo: unknown
  readonly isMedia: boolean
  /** What the API brings in is of unknown size. */
  readonly isBrought: boolean
  requests: number
  /** Bytes of text, those of beginnings included. */
  text: number
  /** Bytes of cached beginnings: those that come first are written, those that come again may be read. */
  readonly first: { hour: number; minutes: number }
  readonly again: { hour: number; minutes: number }
  output: number
}

/** Tokens as numbers, dollars in femtodollars; undefined where they are unknown. */
export interface Sum {
  readonly tokens: number
  readonly error: number
  readonly cached: number
  readonly output: number
  readonly unknown: number
  readonly least: bigint | undefined
  readonly expected: bigint | undefined
  readonly synchronous: bigint | undefined
}

/** Sums of requests that are alike in price; a calibration makes tokens and dollars of them. */
export class Groups {
  readonly #priceOf: PriceOf
  readonly #answerTokens: number
  readonly #groups = new Map<string, Group>()
  readonly #seen = new Set<string>()

  constructor(priceOf: PriceOf, answerTokens: number) {
    this.#priceOf = priceOf
    this.#answerTokens = answerTokens
  }

  add(params: MessageParams, parts: Parts): void {
    const group = this.#groupOf(params, parts)
    group.requests += 1
    group.text += parts.text
    group.output += Math.min(params.max_tokens, this.#answerTokens)
    const { prefix } = parts
    if (!prefix || isTooShort(params.model, prefix)) return
    const sum = this.#isKnown(prefix) ? group.again : group.first
    sum[prefix.isHour ? 'hour' : 'minutes'] += prefix.bytes
  }

  #groupOf({ model, inference_geo: geo }: MessageParams, parts: Parts): Group {
    const isMedia = parts.media > 0
    const isBrought = parts.brought !== undefined
    const hasLong = this.#priceOf(model)?.long !== undefined
    const size = hasLong ? Math.min(100, Math.floor(parts.text / SIZE_CLASS)) : 0
    const key = `${model} ${geo === 'us'} ${isMedia} ${isBrought} ${size}`
    const known = this.#groups.get(key)
    if (known) return known
    const group: Group = {
      ...{ model, geo, isMedia, isBrought, requests: 0, text: 0, output: 0 },
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

  sum(calibration: Calibration): Sum {
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

/** Whether a model caches no beginning that is so short. */
function isTooShort(model: string, { bytes }: Prefix): boolean {
  return bytes / BYTES_PER_TOKEN < (leastCached(model) ?? LEAST_OF_ALL)
}

/** Tokens of a group's input, those in cached beginnings among them. Of what is unknown the text is counted. */
function tokensOf(
  group: Group,
  { text, media }: Calibration,
): { input: number; cached: number; error: number; isKnown: boolean } {
  const { model, requests, first, again, isMedia, isBrought } = group
  const ofText = text(model)
  const ofMedia = isMedia ? media(model) : undefined
  const input = ofMedia ? requests * ofMedia.per : group.text * ofText.per
  const beginnings = first.hour + first.minutes + again.hour + again.minutes
  return {
    input,
    cached: Math.min(input, beginnings * ofText.per),
    error: (ofMedia ?? ofText).error,
    isKnown: !isBrought && (!isMedia || ofMedia !== undefined),
  }
}

/** The list price of a group's input, where so large a share of what could be read from the cache is. */
function inputCost(
  { first, again }: Group,
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
