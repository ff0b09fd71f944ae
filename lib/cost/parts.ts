import type { MessageParams } from '../core/flow.ts'
import { prefixOf, type Prefix } from './prefix.ts'

/** The parts of a request that decide its number of tokens. */
export interface RequestParts {
  /** Bytes of its JSON without the data of images and PDFs. The cached prefix is included. */
  readonly text: number
  /** Images and PDFs. Their bytes do not predict their tokens. */
  readonly media: number
  /** Content that the API itself adds to the prompt, in words; undefined if there is none. */
  readonly apiContent: string | undefined
  /** The cached prefix. */
  readonly prefix: Prefix | undefined
}

/** Takes a request apart; `json` is its serialized params. */
export function partsOf(params: MessageParams, json: string): RequestParts {
  // Quotes inside strings are escaped, so this matches structure only.
  const held = json.includes('"type":"base64"') ? heldIn(params.messages) : { media: 0, bytes: 0 }
  return {
    text: Buffer.byteLength(json) - held.bytes,
    media: held.media,
    apiContent: apiContentOf(params, json),
    prefix: json.includes('"cache_control":') ? prefixOf(params) : undefined,
  }
}

/** Counts images and PDFs anywhere in a value; tool results may contain some. */
function heldIn(value: unknown): { media: number; bytes: number } {
  const sum = { media: 0, bytes: 0 }
  const look = (inner: unknown): void => {
    if (typeof inner !== 'object' || inner === null) return
    // Any member of an object can be read.
    const { type, data } = inner as { type?: unknown; data?: unknown }
    if (type === 'base64' && typeof data === 'string') {
      sum.media += 1
      sum.bytes += data.length
    } else for (const one of Object.values(inner)) look(one)
  }
  look(value)
  return sum
}

/** The content whose size is unknown before the request is sent, in words. */
export function apiContentOf(
  { tools, compaction }: { readonly tools?: unknown; readonly compaction?: unknown },
  json: string,
): string | undefined {
  if (json.includes('"type":"url"')) return 'content from a URL'
  if (json.includes('"type":"file"')) return 'content of a stored file'
  if (compaction !== undefined || json.includes('"type":"compact_'))
    return 'a summary of the context'
  return Array.isArray(tools) && tools.some(isRunByApi)
    ? 'the output of a tool that the API runs'
    : undefined
}

/** A user's own tool has no type or the type `custom`; the API runs all others. */
function isRunByApi(tool: unknown): boolean {
  const type: unknown = (tool as { type?: unknown } | null)?.type
  return type !== undefined && type !== 'custom'
}
