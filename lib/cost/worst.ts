import { broughtBy } from './parts.ts'
import type { Price, PriceOf } from './price.ts'

/** Tokens that tools or a schema can add to a prompt beside their own text. Source: API docs, "Tool use", pricing. */
const ADDED = 1000

/** Tokens of an image at most: larger ones are scaled down. Source: API docs, "Vision", image costs. */
const MOST_OF_IMAGE = 5000

/** A request as far as its price depends on it. */
export interface Asked {
  readonly model: string
  readonly max_tokens: number
  readonly tools?: unknown
  readonly output_config?: unknown
  readonly inference_geo?: unknown
}

/** Why a request can cost more than its own size says, or that nobody knows what it costs. */
export interface Unbounded {
  readonly why: string
}

/**
 * The most that a request can cost in a batch, in femtodollars: a token for each byte of its JSON (no tokenizer makes more)
 * and what an image has however small its file is, all of them written to the cache where it asks for one, and an answer of
 * `max_tokens`. What the API itself brings into a prompt, by an address or a tool that it runs, has no such bound.
 */
export function worstOf(asked: Asked, json: string, priceOf: PriceOf): bigint | Unbounded {
  const price = priceOf(asked.model)
  if (!price) return { why: `price unknown for ${asked.model}: --price IN,OUT gives it` }
  const brought = broughtBy(asked, json)
  if (brought !== undefined)
    return { why: `${brought} has no size that is known before it is sent` }
  const tokens = Buffer.byteLength(json) + (isLarger(asked) ? ADDED : 0) + ofImages(json)
  const rates = ratesFor(tokens, price)
  // Quotes inside of texts are escaped, so this is found in the structure alone.
  const isCached = json.includes('"cache_control":')
  const input = BigInt(tokens) * (isCached ? rates.write1h : rates.input)
  const list = input + BigInt(asked.max_tokens) * rates.output
  return inBatch(list, asked.inference_geo)
}

/** What tokens of this list price cost in a batch. */
export function inBatch(list: bigint, geo: unknown): bigint {
  return (list * (geo === 'us' ? 11n : 10n)) / 20n
}

export function ratesFor(tokens: number, { rates, long }: Price): Price['rates'] {
  return long && tokens > long.above ? long.rates : rates
}

/** Quotes inside of texts are escaped, so these are found in the structure alone. */
function ofImages(json: string): number {
  return (json.split('"type":"base64"').length - 1) * MOST_OF_IMAGE
}

function isLarger({ tools, output_config }: Asked): boolean {
  return tools !== undefined || output_config !== undefined
}
