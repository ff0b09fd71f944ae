/** Requests in one batch at most. Source: API docs "Batch processing", limitations. */
export const MAX_REQUESTS: number = 100_000

/**
 * Bytes of one batch's body at most. The docs say 256 MB without saying MB or MiB ("Batch processing",
 * limitations), so this stays below the smaller reading.
 */
export const MAX_BODY_BYTES: number = 250_000_000

/** What a custom_id may look like. Source: API docs "Batch processing", added in 2026. */
export const CUSTOM_ID: RegExp = /^[a-zA-Z0-9_-]{1,64}$/

/** Batches on one page of the list endpoint at most. Source: API reference, "List Message Batches". */
export const MAX_PAGE: number = 1000

/** Pages of a list of batches that are read at most: 200,000 batches, more than a workspace makes in a month. */
export const MAX_LIST_PAGES: number = 200

/** How long a batch may be in processing before it expires. Source: API docs "Batch processing". */
export const EXPIRES_AFTER_MS: number = 24 * 60 * 60 * 1000

/** How long results can be fetched after the batch was created. Source: API docs "Batch processing". */
export const RESULTS_KEPT_MS: number = 29 * 24 * 60 * 60 * 1000

/** Requests in a batch unless the user says otherwise: rows come early, and a lost batch costs little. */
export const DEFAULT_REQUESTS: number = 10_000

/** Bytes in a batch's body unless the user says otherwise: what a slow line uploads in minutes. */
export const DEFAULT_BODY_BYTES: number = 64_000_000

/** How long an unknown create is looked for before it is sent again. */
export const DEFAULT_SETTLE_MS: number = 10 * 60 * 1000

/** Batches in flight unless the user says otherwise. */
export const DEFAULT_CONCURRENCY: number = 10

/** How deep JSON may nest before a record is refused: deeper values overflow the stack of JSON.stringify. */
export const MAX_JSON_DEPTH: number = 1000

/** Bytes of one input record at most, unless the user says otherwise. */
export const DEFAULT_RECORD_BYTES: number = 16_000_000

/**
 * Bytes of one attached file at most: in base64 it fills the 32 MB that the API takes of one Messages request. Source: API
 * docs "Errors", request size limits.
 */
export const MAX_ATTACHED_BYTES: number = 24_000_000

/** Bytes of one reply of the API that are read, a result set aside: a page of 1000 batches has less than 1 MB. */
export const MAX_REPLY_BYTES: number = 8_000_000

/**
 * Bytes of one line of a result set at most: twice the 32 MB that the API takes of a request, and 100 bytes for each of
 * 600,000 tokens, several times what a model answers.
 */
export const MAX_RESULT_LINE_BYTES: number = 64_000_000

/** Silence on a connection, to the first byte or between bytes, after which a request is given up. */
export const SILENCE_MS: number = 60_000

/** Answer tokens asked for unless the user says otherwise. */
export const DEFAULT_MAX_TOKENS: number = 1024

/** The model asked unless the user says otherwise: the cheapest current one. */
export const DEFAULT_MODEL = 'claude-haiku-5-5'
