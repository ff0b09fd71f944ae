import { createHash } from 'node:crypto'
import { settingsOf, type AnyTemplateOptions } from './options.ts'

/**
 * SHA-256, in hex, of the options that decide requests. A function is represented by its source text; values that it reads
 * from outside are not covered.
 */
export function digestOf(options: AnyTemplateOptions): string {
  const { prompt, perRecord, system, id, defaults, ready, format } = settingsOf(options)
  const { attach = [] } = options
  const asks = { prompt, perRecord, system, id, defaults, ready, format, attach: [attach].flat() }
  return createHash('sha256').update(JSON.stringify(asks, withSources)).digest('hex')
}

/** JSON has neither functions nor the symbol for the whole record. */
function withSources(_key: string, value: unknown): unknown {
  return typeof value === 'function' || typeof value === 'symbol' ? [String(value)] : value
}
