import type Anthropic from '@anthropic-ai/sdk'
import { errorOf } from '../api/api.ts'
import { failureOf, type Failure } from '../api/failure.ts'
import { waitBeforeRetry } from '../api/patience.ts'
import { systemClock } from '../clock.ts'
import type { MessageParams } from '../flow.ts'
import { SILENCE_MS } from '../limits.ts'

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
  signal: AbortSignal,
): Promise<Count> {
  const asked = Object.fromEntries(
    COUNTED.filter(key => key in params).map(key => [key, params[key]]),
  )
  // Picked from a request whose type says the same of each of these.
  const body = asked as unknown as Anthropic.Messages.MessageCountTokensParams
  const options = {
    maxRetries: 0,
    timeout: SILENCE_MS,
    signal,
    fetchOptions: { redirect: 'manual' } as const,
  }
  const began = systemClock.elapsed()
  let known = false
  let failures = 0
  for (;;) {
    try {
      const { input_tokens: tokens } = await client.messages.countTokens(body, options)
      return { tokens }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      const failure = failureOf(cause, systemClock.now())
      known ||= failure.status !== null
      failures += 1
      const forMs = systemClock.elapsed() - began
      const waitMs = waitBeforeRetry(failure, { failures, forMs, known, random: Math.random() })
      if (waitMs === null) return settled(failure)
      await systemClock.sleep(waitMs, signal)
    }
  }
}

function settled(failure: Failure): Count {
  if (failure.kind === 'gone' || failure.kind === 'refused') return { failure }
  throw errorOf('reach the API', failure)
}
