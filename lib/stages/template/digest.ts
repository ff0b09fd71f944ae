import { createHash } from 'node:crypto'
import { settingsOf, type AnyTemplateOptions } from './options.ts'

/**
 * SHA-256, in hex, of the options that decide what is asked. A function counts by its source text: what it reads from
 * outside of itself cannot be seen.
 */
export function digestOf(options: AnyTemplateOptions): string {
  const { prompt, perRecord, system, id, defaults, ready, format } = settingsOf(options)
  const { attach = [] } = options
  const asks = { prompt, perRecord, system, id, defaults, ready, format, attach: [attach].flat() }
  return createHash('sha256').update(JSON.stringify(asks, withSources)).digest('hex')
}

/** JSON has neither functions nor the symbol that stands for a whole record. */
function withSources(_key: string, value: unknown): unknown {
  return typeof value === 'function' || typeof value === 'symbol' ? [String(value)] : value
}
