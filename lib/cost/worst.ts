import { apiContentOf } from './parts.ts'
import { pdfSize } from './pdf.ts'
import type { Price, PriceOf } from './price.ts'

/** Tokens that tools or a schema can add to a prompt besides their own text. Source: API docs, "Tool use", pricing. */
const ADDED = 1000

/** The most tokens of an image; larger ones are scaled down. Source: API docs, "Vision", image costs. */
const MOST_OF_IMAGE = 5000

/** The longest context of any model, in tokens: the most that a PDF can have. */
const MOST_OF_PROMPT = 1_000_000

/** The data of a PDF in JSON; each begins with "%PDF-". */
const PDF_DATA = /"data":"(JVBERi0[A-Za-z0-9+/=]*)"/g

/** The members of a request that decide its price. */
export interface PricedRequest {
  readonly model: string
  readonly max_tokens: number
  readonly tools?: unknown
  readonly compaction?: unknown
  readonly output_config?: unknown
  readonly inference_geo?: unknown
}

/** Why a request has no worst case. */
export interface Unbounded {
  readonly why: string
}

/**
 * The most that a request can cost in a batch, in femtodollars. It assumes a token for each byte of JSON (no tokenizer
 * makes more) and of the text of PDFs, the most tokens for each image and each page of a PDF, a cache write for the whole prompt if it is cached, and an answer of
 * `max_tokens`. Content that the API itself adds, from a URL or a tool that it runs, has no bound.
 */
export function worstOf(asked: PricedRequest, json: string, priceOf: PriceOf): bigint | Unbounded {
  const price = priceOf(asked.model)
  if (!price) return { why: `price unknown for ${asked.model}: give it with \`price\`` }
  const apiContent = apiContentOf(asked, json)
  if (apiContent !== undefined)
    return { why: `the size of ${apiContent} is unknown before the request is sent` }
  const tokens = Buffer.byteLength(json) + (isLarger(asked) ? ADDED : 0) + ofMedia(json)
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

/** The tokens of images and PDFs, besides one for each byte of JSON. */
function ofMedia(json: string): number {
  const media = json.split('"type":"base64"').length - 1
  if (media === 0) return 0
  const tokens = media * MOST_OF_IMAGE
  const pdfs = json.split('"application/pdf"').length - 1
  if (pdfs === 0) return tokens
  const read = [...json.matchAll(PDF_DATA)].map(([, data]) => ofPdf(String(data)))
  // PDFs whose data begins in another way.
  const unread = Math.max(0, pdfs - read.length) * MOST_OF_PROMPT
  return read.reduce((sum, one) => sum + one, tokens + unread)
}

function ofPdf(base64: string): number {
  const size = pdfSize(Buffer.from(base64, 'base64'))
  const tokens = size ? size.pages * MOST_OF_IMAGE + size.text : MOST_OF_PROMPT
  return Math.min(tokens, MOST_OF_PROMPT)
}

function isLarger({ tools, output_config }: PricedRequest): boolean {
  return tools !== undefined || output_config !== undefined
}
