import { apiContentOf } from './parts.ts'
import type { Price, PriceOf } from './price.ts'

/** Tokens that tools or a schema can add to a prompt besides their own text. Source: API docs, "Tool use", pricing. */
const ADDED = 1000

/** The most tokens of an image; larger ones are scaled down. Source: API docs, "Vision", image costs. */
const MOST_OF_IMAGE = 5000

/** The members of a request that decide its price. */
export interface PricedRequest {
  readonly model: string
  readonly max_tokens: number
  readonly tools?: unknown
  readonly output_config?: unknown
  readonly inference_geo?: unknown
}

/** Why a request has no worst case. */
export interface Unbounded {
  readonly why: string
}

/**
 * The most that a request can cost in a batch, in femtodollars. It assumes a token for each byte of JSON (no tokenizer
 * makes more), the most tokens for each image, a cache write for the whole prompt if it is cached, and an answer of
 * `max_tokens`. Content that the API itself adds, from a URL or a tool that it runs, has no bound.
 */
export function worstOf(asked: PricedRequest, json: string, priceOf: PriceOf): bigint | Unbounded {
  const price = priceOf(asked.model)
  if (!price) return { why: `price unknown for ${asked.model}: give it with \`price\`` }
  const apiContent = apiContentOf(asked, json)
  if (apiContent !== undefined)
    return { why: `the size of ${apiContent} is unknown before the request is sent` }
  const tokens = Buffer.byteLength(json) + (isLarger(asked) ? ADDED : 0) + ofImages(json)
  const rates = ratesFor(tokens, price)
  // Quotes inside strings are escaped, so this matches structure only.
  const isCached = json.includes('"cache_control":')
  const input = BigInt(tokens) * (isCached ? rates.write1h : rates.input)
  const list = input + BigInt(asked.max_tokens) * rates.output
  // A workspace may have the US as its default.
  return inBatch(list, asked.inference_geo === 'global' ? 'global' : 'us')
}

/** The price of these tokens in a batch, from their list price. */
export function inBatch(list: bigint, geo: unknown): bigint {
  return (list * (geo === 'us' ? 11n : 10n)) / 20n
}

export function ratesFor(tokens: number, { rates, long }: Price): Price['rates'] {
  return long && tokens > long.above ? long.rates : rates
}

function ofImages(json: string): number {
  return (json.split('"type":"base64"').length - 1) * MOST_OF_IMAGE
}

function isLarger({ tools, output_config }: PricedRequest): boolean {
  return tools !== undefined || output_config !== undefined
}
