import { BatchStreamError, wrongOption } from '../core/errors.ts'
import type { AnthropicClient } from './client.ts'

/**
 * Rejects a missing client, or a client passed in place of the options, which the compiler does for TypeScript users only, and a client
 * whose key cannot be sent.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function needClient(options: { readonly client: AnthropicClient } | null | undefined): void {
  if (typeof options?.client?.messages !== 'object')
    throw wrongOption('client', 'a client of @anthropic-ai/sdk', options?.client)
  // Every client of the SDK has these members, which may also be null or a function.
  const { apiKey, authToken } = options.client as Credentials
  if ([apiKey, authToken].some(key => typeof key === 'string' && !IN_A_HEADER.test(key)))
    // The value is not shown: it is a secret, or most of one.
    throw new BatchStreamError(
      'CBS_OPTION',
      '`client` has a key that no header can hold: it contains a line break or another character that keys do not have',
      { option: 'client' },
    )
}

interface Credentials {
  readonly apiKey?: unknown
  readonly authToken?: unknown
}

/** What HTTP allows in the value of a header. White space at its ends is dropped. */
const IN_A_HEADER = /^[\t\n\r ]*[\t\x20-\x7e\x80-\xff]*[\t\n\r ]*$/
