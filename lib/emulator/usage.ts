import { hash } from 'node:crypto'
import { hashOfHex, type SeenCounts } from './seen.ts'
import type { JsonObject } from './validate.ts'

/** Bytes of JSON, or characters of text, per emulated token. */
export const PER_TOKEN = 4

/** Input tokens: the bytes of the JSON of `params`, divided by 4 and rounded up. */
export function inputTokens(paramsJson: string): number {
  return Math.ceil(Buffer.byteLength(paramsJson) / PER_TOKEN)
}

/** Output tokens: the characters of the text, divided by 4 and rounded up. */
export function outputTokens(text: string): number {
  return Math.ceil(text.length / PER_TOKEN)
}

/** Input tokens, split by prompt cache use. */
export interface InputUsage {
  readonly input_tokens: number
  readonly cache_creation_input_tokens: number
  readonly cache_read_input_tokens: number
  readonly cache_creation: {
    readonly ephemeral_5m_input_tokens: number
    readonly ephemeral_1h_input_tokens: number
  }
}

/**
 * The input tokens of a request. With a `cache_control`, the tokens up to the last one are a cache read as far as their
 * prefix was seen before, and a cache write otherwise. `seen` remembers the prefixes.
 */
export function inputUsage(params: JsonObject, paramsJson: string, seen: SeenCounts): InputUsage {
  const total = inputTokens(paramsJson)
  // Most requests have no breakpoint; this check is cheaper than walking their blocks.
  const marks = paramsJson.includes('"cache_control"') ? breakpoints(params) : []
  const last = marks.at(-1)
  if (!last) return split(total, 0, 0, false)
  const read = marks.findLast(mark => seen.has(mark.hash))?.tokens ?? 0
  for (const mark of marks) seen.add(mark.hash)
  return split(total - last.tokens, last.tokens - read, read, last.ttl === '1h')
}

function split(rest: number, write: number, read: number, hour: boolean): InputUsage {
  return {
    input_tokens: rest,
    cache_creation_input_tokens: write,
    cache_read_input_tokens: read,
    cache_creation: {
      ephemeral_5m_input_tokens: hour ? 0 : write,
      ephemeral_1h_input_tokens: hour ? write : 0,
    },
  }
}

interface Breakpoint {
  readonly hash: number
  readonly tokens: number
  readonly ttl: string
}

/** The prefixes that end in a `cache_control`, in prompt order: tools, system, messages. */
function breakpoints(params: JsonObject): Breakpoint[] {
  const marks: Breakpoint[] = []
  let prefix = JSON.stringify(params['model'])
  const blocks = blocksOf(params)
  blocks.forEach((block, at) => {
    const { cache_control: own, ...content } = block
    prefix += JSON.stringify(content)
    // A cache_control at the top of params applies to the last block.
    const control = own ?? (at === blocks.length - 1 ? params['cache_control'] : undefined)
    if (!isControl(control)) return
    const tokens = Math.min(inputTokens(prefix), inputTokens(JSON.stringify(params)))
    marks.push({ hash: hashOfHex(hash('sha256', prefix)), tokens, ttl: control.ttl ?? '5m' })
  })
  return marks
}

function isControl(value: unknown): value is { readonly ttl?: string } {
  return typeof value === 'object' && value !== null
}

function blocksOf(params: JsonObject): JsonObject[] {
  const blocks: JsonObject[] = []
  const take = (content: unknown): void => {
    if (typeof content === 'string') blocks.push({ type: 'text', text: content })
    // checkParams ensured that arrays of content hold objects.
    else if (Array.isArray(content)) blocks.push(...(content as JsonObject[]))
  }
  take(params['tools'])
  take(params['system'])
  // Likewise, messages are objects.
  for (const message of params['messages'] as JsonObject[]) take(message['content'])
  return blocks
}
