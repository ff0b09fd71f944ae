import { BYTES_PER_TOKEN } from '../../cost/calibration.ts'
import { LEAST_OF_ALL, leastCached } from '../../cost/least-cached.ts'
import { settingsOf, type AnyTemplateOptions } from './options.ts'

/**
 * A warning if `cache` cannot help because the shared prefix is too short for the model; undefined otherwise. Tokens are
 * estimated from bytes, so a borderline prefix may pass without a warning.
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
      ? `no model is known to cache fewer than ${LEAST_OF_ALL}`
      : `${String(model)} caches only prefixes of ${known} or more`
  return `the shared prefix of all requests has about ${tokens} tokens, and ${from}: the prompt cache will not help`
}
