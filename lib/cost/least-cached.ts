/**
 * Tokens that a shared beginning must have before the API caches it, by model; below, nothing is cached and nothing says
 * so. Source: API docs, "Prompt caching", November 2026, which name none for Haiku 5.5 and Sonnet 5.5.
 */
const MINIMA: readonly (readonly [tokens: number, models: RegExp])[] = [
  [512, /^claude-(opus-5-5|opus-5|fable-5(-\d)?)$/],
  [1024, /^claude-(sonnet-5|sonnet-4-[56]|opus-4-8)$/],
  [2048, /^claude-opus-4-7$/],
  [4096, /^claude-(opus-4-[56]|haiku-4-5)$/],
]

/** The lowest of all: what is shorter is cached by no model. */
export const LEAST_OF_ALL = 512

/** The tokens from which on a model caches a beginning; undefined where nobody has said it. */
export function leastCached(model: string): number | undefined {
  return MINIMA.find(([, models]) => models.test(model))?.[0]
}
