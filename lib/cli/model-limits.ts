import type Anthropic from '@anthropic-ai/sdk'
import { BatchStreamError } from '../core/errors.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { callWithRetry, type CallOptions, type FreeCall } from './free-call.ts'
import type { Settings } from './settings.ts'

/** The template with what its models answer at most, where cut answers are asked again; that is asked of the API, for free. */
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
      `--retry-incomplete has to know how much a model answers at most, and the API does not tell: ${asked.failure.message}`,
      { cause: asked.failure.cause },
    )
  const limits = asked.value
  return { ...template, mostTokens: model => limits.get(model) }
}

async function limitsOf(
  client: Anthropic,
  model: string,
  options: CallOptions,
): Promise<ReadonlyMap<string, number>> {
  const limits = new Map<string, number>()
  for await (const { id, max_tokens } of client.models.list({ limit: 1000 }, options))
    if (max_tokens !== null) limits.set(id, max_tokens)
  if (limits.has(model)) return limits
  // An alias stands in no list.
  const { max_tokens } = await client.models.retrieve(model, {}, options)
  return max_tokens === null ? limits : limits.set(model, max_tokens)
}
