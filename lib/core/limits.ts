/** Maximum requests per batch. Source: API docs "Batch processing", limitations. */
export const MAX_REQUESTS: number = 100_000

/**
 * Maximum bytes of a batch body. The docs say 256 MB, which may mean MB or MiB ("Batch processing", limitations); this is
 * below the smaller reading.
 */
export const MAX_BODY_BYTES: number = 250_000_000

/** The format of a custom_id. Source: API docs "Batch processing", added in 2026. */
export const CUSTOM_ID: RegExp = /^[a-zA-Z0-9_-]{1,64}$/

/** Maximum batches per page of the list endpoint. Source: API reference, "List Message Batches". */
export const MAX_PAGE: number = 1000

/** Maximum pages of a list of batches that are read: 200,000 batches, more than a workspace makes in a month. */
export const MAX_LIST_PAGES: number = 200

/** How long a batch may be in processing before it expires. Source: API docs "Batch processing". */
export const EXPIRES_AFTER_MS: number = 24 * 60 * 60 * 1000

/** How long results can be fetched after the batch was created. Source: API docs "Batch processing". */
export const RESULTS_KEPT_MS: number = 29 * 24 * 60 * 60 * 1000

/** Default requests per batch: rows arrive early, and a lost batch costs little. */
export const DEFAULT_REQUESTS: number = 10_000

/** Default bytes per batch body: a slow connection uploads it in minutes. */
export const DEFAULT_BODY_BYTES: number = 64_000_000

/** Default time to search for a batch whose create got no reply before resending it. */
export const DEFAULT_SETTLE_MS: number = 10 * 60 * 1000

/** Default number of batches in flight. */
export const DEFAULT_CONCURRENCY: number = 10

/** Maximum nesting of JSON: deeper values overflow the stack of JSON.stringify. */
export const MAX_JSON_DEPTH: number = 1000

/** Default maximum bytes of an input record. */
export const DEFAULT_RECORD_BYTES: number = 16_000_000

/**
 * Maximum bytes of an attached file: in base64 it fills the 32 MB of one Messages request. Source: API docs "Errors",
 * request size limits.
 */
export const MAX_ATTACHED_BYTES: number = 24_000_000

/** Maximum columns of a CSV file: six times as many as Excel has, and few enough for their names to stay in memory. */
export const MAX_CSV_COLUMNS: number = 100_000

/** Maximum bytes of an API reply other than a result set. A page of 1000 batches has less than 1 MB. */
export const MAX_REPLY_BYTES: number = 8_000_000

/**
 * Maximum bytes of a line of a result set: twice the 32 MB of a request, and 100 bytes for each of 600,000 tokens, several
 * times the longest answer.
 */
export const MAX_RESULT_LINE_BYTES: number = 64_000_000

/** Maximum silence on a connection, before the first byte or between bytes. After it a request is aborted. */
export const IDLE_TIMEOUT_MS: number = 60_000

/** Default max_tokens of a request. */
export const DEFAULT_MAX_TOKENS: number = 1024

/** Default model: the cheapest current one. */
export const DEFAULT_MODEL = 'claude-haiku-5-5'

/** How many result sets that fail or are incomplete are waited for while others are fetched. */
export const MAX_SLOW_DOWNLOADS = 8
