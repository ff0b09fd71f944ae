import { BYTES_PER_TOKEN } from '../money/calibration.ts'
import { settingsOf, type TemplateOptions } from './options.ts'

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
const LOWEST = 512

/**
 * Says so where `cache` cannot help, as the beginning that all requests share is too short for the model; undefined
 * otherwise. Tokens are guessed from bytes, so that a beginning near the border may go without a warning.
 *
 * @throws BatchStreamError `CBS_OPTION` as `template` does
 */
export function cacheWarning(options: TemplateOptions): string | undefined {
  if (!options.cache) return undefined
  const { model, tools, system } = settingsOf(options).defaults
  const bytes = Buffer.byteLength(JSON.stringify([tools, system]))
  const tokens = Math.ceil(bytes / BYTES_PER_TOKEN)
  const known = MINIMA.find(([, models]) => models.test(String(model)))
  if (tokens >= (known?.[0] ?? LOWEST)) return undefined
  const from = known
    ? `${String(model)} caches only what has ${known[0]} or more`
    : `no model is known to cache less than ${LOWEST}`
  return `what all requests share has about ${tokens} tokens, and ${from}: the prompt cache will not help`
}
