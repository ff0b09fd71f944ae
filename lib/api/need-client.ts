import { wrongOption } from '../core/errors.ts'
import type { AnthropicClient } from './client.ts'

/**
 * The compiler asks for a client; in JavaScript a forgotten one, or the client in place of the options, is told at once.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function needClient(options: { readonly client: AnthropicClient } | null | undefined): void {
  if (typeof options?.client?.messages !== 'object')
    throw wrongOption('client', 'a client of @anthropic-ai/sdk', options?.client)
}
