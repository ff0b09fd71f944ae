import { BYTES_PER_TOKEN } from '../../cost/calibration.ts'
import { LEAST_OF_ALL, leastCached } from '../../cost/least-cached.ts'
import { settingsOf, type AnyTemplateOptions } from './options.ts'

/**
 * Says so where `cache` cannot help, as the beginning that all requests share is too short for the model; undefined
 * otherwise. Tokens are guessed from bytes, so that a beginning near the border may go without a warning.
 *
 * @throws BatchStreamError `CBS_OPTION` as `template` does
 */
export function cacheWarning(options: AnyTemplateOptions): string | undefined {
  if (!options.cache) return undefined
  const { model, tools, system } = settingsOf(options).defaults
  const bytes = Buffer.byteLength(JSON.stringify([tools, system]))
  const tokens = Math.ceil(bytes / BYTES_PER_TOKEN)
  const known = leastCached(String(model))
  if (tokens >= (known ?? LEAST_OF_ALL)) return undefined
  const from =
    known === undefined
      ? `no model is known to cache less than ${LEAST_OF_ALL}`
      : `${String(model)} caches only what has ${known} or more`
  return `what all requests share has about ${tokens} tokens, and ${from}: the prompt cache will not help`
}
