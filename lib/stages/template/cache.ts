import { BatchStreamError } from '../../core/errors.ts'
import { isFixed, type Template } from './compile.ts'
import { isBlank } from './render.ts'

/** An hour, as batches outlast the five minutes that are the API's default. */
const BREAKPOINT = { type: 'ephemeral', ttl: '1h' } as const

/**
 * Marks the end of the prefix that every request has in common for the prompt cache: the system prompt, or the tools where
 * there is none. What a record says is never marked: each row would pay for a write that no other reads.
 *
 * @throws BatchStreamError `CBS_OPTION` where no prefix is the same for every record
 */
export function cachedPrefix(
  params: Readonly<Record<string, unknown>>,
  template: Template | undefined,
): Readonly<Record<string, unknown>> {
  const system = params['system'] ?? staticText(template)
  const blocks = typeof system === 'string' ? [{ type: 'text', text: system }] : system
  if (isFull(blocks)) return { ...params, system: marked(blocks) }
  const tools = params['tools']
  if (isFull(tools)) return { ...params, tools: marked(tools) }
  throw new BatchStreamError(
    'CBS_OPTION',
    '`cache` needs a beginning that all requests share: a system prompt without fields ({{$key}} is none), or tools',
  )
}

/** The text of a template that no record changes; a blank one is left out of requests. */
function staticText(template: Template | undefined): string | undefined {
  if (!template || !isFixed(template)) return undefined
  const text = template.parts.join('')
  return isBlank(text) ? undefined : text
}

function isFull(list: unknown): list is readonly object[] {
  return Array.isArray(list) && list.length > 0
}

/** A breakpoint that the user has set on the last one stays as it is. */
function marked(list: readonly object[]): readonly object[] {
  return list.with(-1, { cache_control: BREAKPOINT, ...list.at(-1) })
}
