import { createHash } from 'node:crypto'
import type { MessageParams } from '../core/flow.ts'

/** The part of a prompt that the prompt cache keeps. */
export interface Prefix {
  /** Bytes of its JSON. */
  readonly bytes: number
  /** Equal for requests with the same prefix. */
  readonly key: string
  /** Cached for an hour rather than five minutes. */
  readonly isHour: boolean
}

/**
 * The prompt up to its last breakpoint, in the order in which the API reads it: tools, system, messages. Undefined without
 * a breakpoint.
 */
export function prefixOf(params: MessageParams): Prefix | undefined {
  const blocks = blocksOf(params)
  // A cache_control beside the messages applies to the last block.
  const isTop = isMark(params.cache_control)
  const last = isTop ? blocks.length - 1 : blocks.findLastIndex(block => isMark(markOf(block)))
  const marked = blocks[last]
  if (marked === undefined) return undefined
  const mark = isMark(markOf(marked)) ? markOf(marked) : params.cache_control
  const json = JSON.stringify(blocks.slice(0, last + 1))
  const key = createHash('sha256').update(params.model).update(json).digest('base64')
  // Any member of an object can be read.
  return { bytes: Buffer.byteLength(json), key, isHour: (mark as { ttl?: unknown }).ttl === '1h' }
}

function blocksOf({ tools, system, messages }: MessageParams): unknown[] {
  const parts: unknown[] = [tools, system, ...messages.map(({ content }) => content)]
  return parts.flatMap(part => (part === undefined ? [] : part))
}

function markOf(block: unknown): unknown {
  return typeof block === 'object' && block !== null && 'cache_control' in block
    ? block.cache_control
    : undefined
}

function isMark(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
