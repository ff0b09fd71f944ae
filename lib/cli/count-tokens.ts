import type Anthropic from '@anthropic-ai/sdk'
import type { Failure } from '../api/failure.ts'
import type { MessageParams } from '../core/flow.ts'
import { callWithRetry, type FreeCall } from './free-call.ts'

/** What the token counter takes of a request. Source: the SDK's MessageCountTokensParams. */
const COUNTED = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
] as const

/** What the counter says of a request: its tokens, or that it takes no such request (or that there is no counter). */
export type Count = { readonly tokens: number } | { readonly failure: Failure }

/**
 * Asks the token counter, which is free. Outages are waited out.
 *
 * @throws BatchStreamError where the key, the billing or the connection is at fault
 */
export async function countTokens(
  client: Anthropic,
  params: MessageParams,
  free: FreeCall,
): Promise<Count> {
  const asked = Object.fromEntries(
    COUNTED.filter(key => key in params).map(key => [key, params[key]]),
  )
  // Picked from a request whose type says the same of each of these.
  const body = asked as unknown as Anthropic.Messages.MessageCountTokensParams
  const count = await callWithRetry(
    options => client.messages.countTokens(body, options).withResponse(),
    free,
  )
  if ('failure' in count) return count
  const { data, response } = count.value
  await free.session.observeWorkspace(response.headers)
  return { tokens: data.input_tokens }
}
