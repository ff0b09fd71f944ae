import { wrongOption } from '../core/errors.ts'
import type { AnthropicClient } from './client.ts'

/**
 * Rejects a missing client, or a client passed in place of the options. The compiler does so for TypeScript users only.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function needClient(options: { readonly client: AnthropicClient } | null | undefined): void {
  if (typeof options?.client?.messages !== 'object')
    throw wrongOption('client', 'a client of @anthropic-ai/sdk', options?.client)
}
