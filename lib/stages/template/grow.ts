import type { MessageParams } from '../../core/flow.ts'

/** What models answer at most: one number, or by model; undefined where that is unknown. */
export type MostTokens = number | ((model: string) => number | undefined)

/** `max_tokens` doubled so often, up to what the model takes; where that is unknown it stays as it is. */
export function grownMaxTokens(
  { model, max_tokens }: Pick<MessageParams, 'model' | 'max_tokens'>,
  doublings: number,
  mostTokens: MostTokens | undefined,
): number {
  const most = typeof mostTokens === 'function' ? mostTokens(model) : mostTokens
  if (most === undefined) return max_tokens
  return Math.max(max_tokens, Math.min(max_tokens * 2 ** doublings, most))
}
