import type { MessageParams } from '../core/flow.ts'
import { prefixOf, type Prefix } from './prefix.ts'

/** What a request is made of, as far as it decides how many tokens it has. */
export interface Parts {
  /** Bytes of its JSON beside images and PDFs, the cached prefix included: what is in them is text. */
  readonly text: number
  /** Images and PDFs that it holds; their bytes say nothing of their tokens. */
  readonly media: number
  /** What the API itself brings into the prompt; undefined where it brings nothing. */
  readonly brought: string | undefined
  /** The beginning that it asks to keep in the prompt cache. */
  readonly prefix: Prefix | undefined
}

/** Takes a request apart; `json` is its params as they are sent. */
export function partsOf(params: MessageParams, json: string): Parts {
  // Quotes inside of texts are escaped, so these are found in the structure alone.
  const held = json.includes('"type":"base64"') ? heldIn(params.messages) : { media: 0, bytes: 0 }
  return {
    text: Buffer.byteLength(json) - held.bytes,
    media: held.media,
    brought: broughtBy(params, json),
    prefix: json.includes('"cache_control":') ? prefixOf(params) : undefined,
  }
}

/** Images and PDFs in a value, wherever they stand: a tool's result may hold some too. */
function heldIn(value: unknown): { media: number; bytes: number } {
  const sum = { media: 0, bytes: 0 }
  const look = (inner: unknown): void => {
    if (typeof inner !== 'object' || inner === null) return
    const { type, data } = inner as { type?: unknown; data?: unknown }
    if (type === 'base64' && typeof data === 'string') {
      sum.media += 1
      sum.bytes += data.length
    } else for (const one of Object.values(inner)) look(one)
  }
  look(value)
  return sum
}

/** What has no size that is known before it is sent, in words. */
export function broughtBy(
  { tools }: { readonly tools?: unknown },
  json: string,
): string | undefined {
  if (json.includes('"type":"url"')) return 'what an address brings into the prompt'
  if (json.includes('"type":"file"')) return 'what a stored file brings into the prompt'
  return Array.isArray(tools) && tools.some(isRunByApi)
    ? 'what a tool that the API runs brings into the prompt'
    : undefined
}

/** A user's own tool has no type, or `custom`; any other is run by the API. */
function isRunByApi(tool: unknown): boolean {
  const type: unknown = (tool as { type?: unknown } | null)?.type
  return type !== undefined && type !== 'custom'
}
