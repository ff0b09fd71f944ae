import { BatchStreamError } from '../core/errors.ts'
import { PRICES, type ListedPrice, type RateTexts } from './prices.ts'
import { parseRate } from './usd.ts'

/** The list price of one token in each class, in femtodollars, for synchronous calls. */
export interface Rates {
  readonly input: bigint
  readonly output: bigint
  /** A cache write for five minutes. */
  readonly write5m: bigint
  /** A cache write for an hour. */
  readonly write1h: bigint
  /** A cache read. */
  readonly read: bigint
}

export interface Price {
  readonly rates: Rates
  /** Rates of a request whose prompt has more than `above` tokens, cache reads and writes included. */
  readonly long?: { readonly above: number; readonly rates: Rates }
  /** When and where the price was read. */
  readonly date: string
  readonly source: string
}

/** The price of a model; undefined if unknown. It is never guessed. */
export type PriceOf = (model: string) => Price | undefined

/** The built-in price list. A dated snapshot (`claude-haiku-4-5-20251001`) has the price of its model. */
export const listPrice: PriceOf = model => {
  const name = Object.hasOwn(PRICES, model) ? model : model.replace(/-\d{8}$/, '')
  const listed = Object.hasOwn(PRICES, name) ? PRICES[name] : undefined
  if (!listed) return undefined
  const known = prices.get(name) ?? priceIn(listed)
  prices.set(name, known)
  return known
}

/** Converted prices; looked up for each of millions of answers. */
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
  // A test parses every text of the list.
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
 * The price that a user gives as `IN,OUT`: list prices in USD per million tokens, applied to every model. Batches are
 * billed at half; cache classes follow by the usual multiples (1.25, 2 and 0.1 times the input).
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function givenPrice(text: string): PriceOf {
  const [input, output, ...more] = text.split(',').map(part => parseRate(part.trim()))
  if (input === undefined || output === undefined || more.length > 0) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `\`price\` must be two list prices in USD per million tokens with at most 5 decimals, such as 0.10,0.50; got "${text}"`,
      { option: 'price' },
    )
  }
  const rates = {
    input,
    output,
    write5m: (input * 5n) / 4n,
    write1h: input * 2n,
    read: input / 10n,
  }
  return () => ({ rates, date: 'today', source: 'given' })
}
