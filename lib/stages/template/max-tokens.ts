import type { MessageParams } from '../../core/flow.ts'

/** The maximum answer tokens of models: one number, or by model; undefined if unknown. */
export type MaxTokensLimit = number | ((model: string) => number | undefined)

/** `max_tokens` doubled this many times, up to the model's maximum; unchanged if that is unknown. */
export function maxTokensAfter(
  { model, max_tokens }: Pick<MessageParams, 'model' | 'max_tokens'>,
  doublings: number,
  maxTokensLimit: MaxTokensLimit | undefined,
): number {
  const most = typeof maxTokensLimit === 'function' ? maxTokensLimit(model) : maxTokensLimit
  if (most === undefined) return max_tokens
  return Math.max(max_tokens, Math.min(max_tokens * 2 ** doublings, most))
}
