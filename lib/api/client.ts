/**
 * The members of an `@anthropic-ai/sdk` client (1.11 or newer) that this package uses. A client from another copy of the
 * SDK also fits. Its key, base URL, fetch, proxy and default headers apply; its retries do not.
 */
export interface AnthropicClient {
  /** The API's URL. Requests go to its origin only. */
  readonly baseURL: string
  /** The Messages API; its token counter is used by the preflight. */
  readonly messages: {
    /** The Message Batches API. */
    readonly batches: object
  }
  /** The Models API, which says when a model retires. */
  readonly models: object
  /** Makes a GET request; result sets are downloaded with it. */
  get(path: string, options?: never): unknown
  /** Returns a copy with other options. The package uses a copy that checks every reply. */
  withOptions(options: never): unknown
}
