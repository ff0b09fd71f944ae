/**
 * A client of `@anthropic-ai/sdk`, 1.11 or newer, by the members that are used: a client of another copy of the SDK than this
 * package's own is one, too. Its key, base URL, fetch, proxy and default headers are used; its retries are not.
 */
export interface AnthropicClient {
  readonly baseURL: string
  readonly messages: { readonly batches: object }
  readonly models: object
  get(path: string, options?: never): unknown
  withOptions(options: never): unknown
}
