import { BatchStreamError } from '../../core/errors.ts'
import { isFixed, type Template } from './compile.ts'
import { isBlank } from './render.ts'

/** An hour, since batches outlast the API's default of five minutes. */
const BREAKPOINT = { type: 'ephemeral', ttl: '1h' } as const

/**
 * Marks the end of the shared prefix for the prompt cache: the system prompt, or the tools if there is none. A record's own
 * text is never marked: each row would pay for a write that no other reads.
 *
 * @throws BatchStreamError `CBS_OPTION` if no prefix is the same for every record
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
    '`cache` needs a prefix that all requests share: a system prompt without fields ({{$key}} is allowed), or tools',
    { option: 'cache' },
  )
}

/** The text of a template without fields; a blank one is left out of requests. */
function staticText(template: Template | undefined): string | undefined {
  if (!template || !isFixed(template)) return undefined
  const text = template.parts.join('')
  return isBlank(text) ? undefined : text
}

function isFull(list: unknown): list is readonly object[] {
  return Array.isArray(list) && list.length > 0
}

/** A breakpoint that the user set on the last block stays. */
function marked(list: readonly object[]): readonly object[] {
  return list.with(-1, { cache_control: BREAKPOINT, ...list.at(-1) })
}
