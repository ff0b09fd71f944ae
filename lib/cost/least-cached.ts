/**
 * The minimum tokens of a cacheable prefix, by model. The API ignores shorter ones silently. Source: API docs, "Prompt
 * caching", November 2026, which name no minimum for Haiku 5.5 and Sonnet 5.5.
 */
const MINIMA: readonly (readonly [tokens: number, models: RegExp])[] = [
  [512, /^claude-(opus-5-5|opus-5|fable-5(-\d)?)$/],
  [1024, /^claude-(sonnet-5|sonnet-4-[56]|opus-4-8)$/],
  [2048, /^claude-opus-4-7$/],
  [4096, /^claude-(opus-4-[56]|haiku-4-5)$/],
]

/** The lowest minimum: no model caches a shorter prefix. */
export const LEAST_OF_ALL = 512

/** The minimum tokens of a prefix that a model caches; undefined if unknown. */
export function leastCached(model: string): number | undefined {
  return MINIMA.find(([, models]) => models.test(model))?.[0]
}
