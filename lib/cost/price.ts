import { BatchStreamError } from '../core/errors.ts'
import { PRICES, type ListedPrice, type RateTexts } from './prices.ts'
import { parseRate } from './usd.ts'

/** What one token costs in each class, in femtodollars, as list price of synchronous calls. */
export interface Rates {
  readonly input: bigint
  readonly output: bigint
  /** Writing to the prompt cache for five minutes. */
  readonly write5m: bigint
  /** Writing to the prompt cache for an hour. */
  readonly write1h: bigint
  /** Reading from the prompt cache. */
  readonly read: bigint
}

export interface Price {
  readonly rates: Rates
  /** Rates of a request whose prompt, cache reads and writes included, has more than `above` tokens. */
  readonly long?: { readonly above: number; readonly rates: Rates }
  /** When it was read, and where. */
  readonly date: string
  readonly source: string
}

/** The price of a model; undefined for one whose price is not known, never a guess. */
export type PriceOf = (model: string) => Price | undefined

/** Prices by the price list. A dated snapshot (`claude-haiku-4-5-20251001`) costs what its model costs. */
export const listPrice: PriceOf = model => {
  const name = Object.hasOwn(PRICES, model) ? model : model.replace(/-\d{8}$/, '')
  const listed = Object.hasOwn(PRICES, name) ? PRICES[name] : undefined
  if (!listed) return undefined
  const known = prices.get(name) ?? priceIn(listed)
  prices.set(name, known)
  return known
}

/** Prices of the list that have been asked for: each answer of millions asks for its own. */
const prices = new Map<string, Price>()

function priceIn(listed: ListedPrice): Price {
  const { long, date, source } = listed
  return {
    rates: ratesOf(listed),
    ...(long && { long: { above: long.above, rates: ratesOf(long) } }),
    date,
    source,
  }
}

function ratesOf(texts: RateTexts): Rates {
  // The test of the list reads every text of it.
  const rate = (text: string): bigint => parseRate(text) as bigint
  return {
    input: rate(texts.input),
    output: rate(texts.output),
    write5m: rate(texts.write_5m),
    write1h: rate(texts.write_1h),
    read: rate(texts.read),
  }
}

/**
 * The price that a user gives as `IN,OUT`: list prices in USD per million tokens as a pricing page has them, for every model.
 * Batches are billed at half; cache classes follow by the usual multiples (1.25, 2 and 0.1 times the input).
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function givenPrice(text: string): PriceOf {
  const [input, output, ...more] = text.split(',').map(part => parseRate(part.trim()))
  if (input === undefined || output === undefined || more.length > 0) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--price must be IN,OUT: two list prices in USD per million tokens with at most 5 decimals, such as 0.10,0.50; got "${text}"`,
    )
  }
  const rates = {
    input,
    output,
    write5m: (input * 5n) / 4n,
    write1h: input * 2n,
    read: input / 10n,
  }
  return () => ({ rates, date: 'today', source: '--price' })
}
