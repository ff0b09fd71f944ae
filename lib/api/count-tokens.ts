import type Anthropic from '@anthropic-ai/sdk'
import type { Failure } from './failure.ts'
import type { MessageParams } from '../core/flow.ts'
import { callWithRetry, type FreeCall } from './free-call.ts'
import { MalformedReply } from './sdk-error.ts'

/** Members of a request that the token counter accepts. Source: the SDK's MessageCountTokensParams. */
const COUNTED = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
] as const

/** The result of counting: tokens, or why there are none (an unsupported request, or no counter). */
export type Count = { readonly tokens: number } | { readonly failure: Failure }

/**
 * Calls the free token counter, and waits out outages.
 *
 * @throws BatchStreamError if the key, the billing or the connection is at fault
 */
export async function countTokens(
  client: Anthropic,
  params: MessageParams,
  free: FreeCall,
): Promise<Count> {
  const asked = Object.fromEntries(
    COUNTED.filter(key => key in params).map(key => [key, params[key]]),
  )
  // These members have the same types in a request.
  const body = asked as unknown as Anthropic.Messages.MessageCountTokensParams
  const count = await callWithRetry(async options => {
    const { data, response } = await client.messages.countTokens(body, options).withResponse()
    // A gateway may send anything.
    const tokens: unknown = Object(data).input_tokens
    if (!Number.isSafeInteger(tokens) || Number(tokens) < 0)
      throw new MalformedReply('the token counter sent no count')
    return { tokens: Number(tokens), response }
  }, free)
  if ('failure' in count) return count
  const { tokens, response } = count.value
  await free.session.observeOther(response.headers)
  return { tokens }
}
