import type { AnthropicClient } from './client.ts'

/**
 * What an answer depends on besides its request: the API's origin, so that no emulated answer passes for a real one, and
 * the betas.
 */
export function answeredByOf(baseURL: string, betas: readonly string[]): string {
  const names = new Set(betas.flatMap(text => text.split(',')).map(name => name.trim()))
  return [new URL(baseURL).origin, ...[...names].sort()].join(' ')
}

/** The same for a client, whose default headers name its betas. */
export function answeredByClient(client: AnthropicClient): string {
  return answeredByOf(client.baseURL, betasOf(client))
}

interface WithOptions {
  readonly _options?: { readonly defaultHeaders?: HeadersInit | undefined }
}

function betasOf(client: AnthropicClient): readonly string[] {
  // Private in the SDK's types, but every client has it.
  const { _options: options } = client as WithOptions
  const betas = new Headers(options?.defaultHeaders ?? {}).get('anthropic-beta')
  return betas === null || betas === '' ? [] : [betas]
}
