/**
 * The members of an `@anthropic-ai/sdk` client (1.11 or newer) that this package uses. A client from another copy of the
 * SDK also fits. Its key, base URL, fetch, proxy and default headers apply; its retries do not.
 */
export interface AnthropicClient {
  readonly baseURL: string
  readonly messages: { readonly batches: object }
  readonly models: object
  get(path: string, options?: never): unknown
  withOptions(options: never): unknown
}
