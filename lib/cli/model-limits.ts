import type Anthropic from '@anthropic-ai/sdk'
import { BatchStreamError } from '../core/errors.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { callWithRetry, type CallOptions, type FreeCall } from '../api/free-call.ts'
import type { Settings } from './settings.ts'

/** The template with the model's maximum tokens, if truncated answers are retried. The free models endpoint provides it. */
export async function withLimits(
  template: TemplateOptions,
  settings: Pick<Settings, 'model' | 'retryIncomplete'>,
  client: Anthropic,
  free: FreeCall,
): Promise<TemplateOptions> {
  if (!settings.retryIncomplete) return template
  const asked = await callWithRetry(options => limitsOf(client, settings.model, options), free)
  if ('failure' in asked)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--retry-incomplete needs the maximum tokens of the model, which the API did not return: ${asked.failure.message}`,
      { cause: asked.failure.cause },
    )
  const limits = asked.value
  return { ...template, maxTokensLimit: model => limits.get(model) }
}

async function limitsOf(
  client: Anthropic,
  model: string,
  options: CallOptions,
): Promise<ReadonlyMap<string, number>> {
  const limits = new Map<string, number>()
  // One page has all models; a gateway may repeat it without an end.
  const { data } = await client.models.list({ limit: 1000 }, options)
  for (const { id, max_tokens } of data) if (max_tokens !== null) limits.set(id, max_tokens)
  if (limits.has(model)) return limits
  // The list of models has no aliases.
  const { max_tokens } = await client.models.retrieve(model, {}, options)
  return max_tokens === null ? limits : limits.set(model, max_tokens)
}
