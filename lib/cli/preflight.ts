import type Anthropic from '@anthropic-ai/sdk'
import { Transform, type TransformCallback } from 'node:stream'
import { errorOf } from '../api/api.ts'
import { failureOf, type Failure } from '../api/failure.ts'
import { waitBeforeRetry } from '../api/patience.ts'
import { systemClock } from '../clock.ts'
import { BatchStreamError } from '../errors.ts'
import type { BatchRequest, MessageParams, RejectedRecord } from '../flow.ts'
import { SILENCE_MS } from '../limits.ts'
import { typed, type Stage } from '../stage.ts'

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

/**
 * Proves key, workspace, model and the shape of the first request with one free call to the token counter, before anything
 * is paid for: inside a batch a wrong parameter shows only when the whole batch has ended.
 */
export function preflight(
  client: Anthropic,
  onSkip: (why: string) => void,
): Stage<BatchRequest | RejectedRecord, BatchRequest | RejectedRecord> {
  const stop = new AbortController()
  let proven = false
  return typed(
    new Transform({
      objectMode: true,
      transform(item: BatchRequest | RejectedRecord, _encoding, done: TransformCallback) {
        if (proven || !('params' in item)) return done(null, item)
        proven = true
        prove(client, item.params, stop.signal, onSkip).then(
          () => done(null, item),
          cause => done(cause),
        )
      },
      destroy(error, done) {
        stop.abort()
        done(error)
      },
    }),
  )
}

async function prove(
  client: Anthropic,
  params: MessageParams,
  signal: AbortSignal,
  onSkip: (why: string) => void,
): Promise<void> {
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
  for (let failures = 1; ; failures++) {
    try {
      await client.messages.countTokens(body, options)
      return
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      const failure = failureOf(cause, systemClock.now())
      known ||= failure.status !== null
      const forMs = systemClock.elapsed() - began
      const waitMs = waitBeforeRetry(failure, { failures, forMs, known, random: Math.random() })
      if (waitMs === null) return settle(failure, params.model, onSkip)
      await systemClock.sleep(waitMs, signal)
    }
  }
}

/** What a counter that gave no count means for the run. */
function settle(failure: Failure, model: string, onSkip: (why: string) => void): void {
  const says = failure.message.toLowerCase()
  // A gateway without this endpoint is no reason not to run; a model that nobody knows is.
  if (failure.kind === 'gone' && !says.includes('model')) return onSkip(failure.message)
  if (failure.kind === 'gone')
    throw new BatchStreamError(
      'CBS_OPTION',
      `the model ${model} is not known: ${failure.message}`,
      { cause: failure.cause },
    )
  if (failure.kind === 'refused')
    throw new BatchStreamError(
      'CBS_OPTION',
      `the first request would be refused: ${failure.message}`,
      { cause: failure.cause },
    )
  throw errorOf('reach the API', failure)
}
