import { MAX_PAGE } from '../core/limits.ts'
import { MalformedReply } from './sdk-error.ts'
import type { Counts } from '../core/job/event.ts'

/** The members of the API's batch object that are used. Times are null where the API sends none. */
export interface RemoteBatch {
  readonly id: string
  readonly processing_status: 'in_progress' | 'canceling' | 'ended'
  readonly request_counts: Counts
  readonly created_at: string
  readonly ended_at: string | null
  /** When the results were archived; they cannot be fetched after that. */
  readonly archived_at: string | null
  /** Only shown to users, as is the next one. */
  readonly expires_at: string | null
  readonly cancel_initiated_at: string | null
  readonly results_url: string | null
}

export interface BatchListPage {
  readonly data: readonly RemoteBatch[]
  readonly has_more: boolean
  readonly last_id: string | null
}

/** Where the API itself is. Results are always read from the base URL. */
export const API_URL = 'https://api.anthropic.com'

/**
 * Checks that a reply is a batch; a proxy's page or a truncated reply is not. The result has the members that are used and no
 * others, since a search keeps every batch of a list, and a gateway may add any number of bytes to each.
 * @throws Error that says what is wrong
 */
export function remoteBatch(answer: unknown): RemoteBatch {
  // Each field that is read is checked on the next lines.
  const batch = answer as RemoteBatch | null
  const counts = countsIn(batch?.request_counts)
  if (
    typeof batch !== 'object' ||
    batch === null ||
    !isId(batch.id) ||
    !counts ||
    // A batch without its time could not be reconciled, and its work would be sent again.
    !isShort(batch.created_at) ||
    Number.isNaN(Date.parse(inUtc(batch.created_at)))
  ) {
    throw new Error('the answer is not a batch')
  }
  if (!['in_progress', 'canceling', 'ended'].includes(batch.processing_status)) {
    throw new Error(`the answer names the batch status ${String(batch.processing_status)}`)
  }
  const { id, processing_status } = batch
  const created_at = inUtc(batch.created_at)
  return {
    ...{ id, processing_status, created_at },
    request_counts: counts,
    ended_at: shortIn(batch.ended_at),
    archived_at: laterIn(batch.archived_at, created_at),
    expires_at: shortIn(batch.expires_at),
    cancel_initiated_at: shortIn(batch.cancel_initiated_at),
    results_url: shortIn(batch.results_url),
  }
}

function shortIn(value: unknown): string | null {
  return isShort(value) ? inUtc(value) : null
}

/** A time as the API writes it: a gateway may leave out the zone, and the local one would be taken. */
function inUtc(text: string): string {
  return /^\d{4}-\d\d-\d\d[T ][\d:.]+$/.test(text) ? `${text}Z` : text
}

/** A time after another one; a gateway may send an empty string, or the year 1, instead of null. */
function laterIn(value: unknown, earlier: string): string | null {
  const time = shortIn(value)
  return time !== null && Date.parse(time) >= Date.parse(earlier) ? time : null
}

/** More characters than a time or a URL of the API has. */
const MAX_CHARACTERS = 2000

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_CHARACTERS
}

/** The URL of an ended batch's results. Falls back to the documented path if the batch has no valid `results_url`. */
export function resultsUrlOf({ id, results_url }: Pick<RemoteBatch, 'id' | 'results_url'>): string {
  const url = typeof results_url === 'string' ? httpUrl(results_url, API_URL) : undefined
  // A gateway may name the results of another batch.
  const named = url && /\/batches\/([^/]+)\/results$/.exec(url.pathname)?.[1]
  return url && (named === undefined || named === id)
    ? String(results_url)
    : `${API_URL}/v1/messages/batches/${encodeURIComponent(id)}/results`
}

/**
 * The URL from which results are read, always on the base URL's origin. A URL on another origin comes from an API behind a
 * gateway: its path is appended to the gateway's own path, which may have a prefix.
 */
export function resultsUrlFor(baseURL: string, resultsUrl: string): string {
  const base = new URL(baseURL)
  const url = httpUrl(resultsUrl, base.origin)
  if (!url) throw new MalformedReply('the batch has no results_url that can be used')
  const prefix = url.origin === base.origin ? '' : base.pathname.replace(/\/$/, '')
  return `${base.origin}${prefix}${url.pathname}${url.search}`
}

function httpUrl(text: string, base: string): URL | undefined {
  const url = URL.canParse(text, base) ? new URL(text, base) : undefined
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url : undefined
}

/** Rejects a reply about another batch (from a proxy's cache, say), which would lead to another batch's results. */
export function about(id: string, batch: RemoteBatch): RemoteBatch {
  if (batch.id !== id) throw new Error(`the answer is about ${batch.id}`)
  return batch
}

/** The format of ids may change, but no id contains blanks, is longer than this, or is a step in a path. */
function isId(id: unknown): id is string {
  return typeof id === 'string' && /^(?!\.\.?$)[\x21-\x7e]{1,200}$/.test(id)
}

/** The five counts, if at least one is there and all that are there are counts. A gateway may leave out those that are 0. */
function countsIn(given: unknown): Counts | undefined {
  // `Object` turns a value that is not an object into an empty one.
  const { processing, succeeded, errored, canceled, expired }: Partial<Counts> = Object(given)
  const present = [processing, succeeded, errored, canceled, expired].filter(one => one != null)
  if (present.length === 0 || !present.every(isCount)) return undefined
  return {
    processing: processing ?? 0,
    succeeded: succeeded ?? 0,
    errored: errored ?? 0,
    canceled: canceled ?? 0,
    expired: expired ?? 0,
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/**
 * Checks that a reply is a page of batches.
 * @throws Error that says what is wrong
 */
export function remotePage(answer: unknown, odd: 'refused' | 'left out'): BatchListPage {
  // Each field that is read is checked on the next lines.
  const page = answer as BatchListPage | null
  if (
    typeof page !== 'object' ||
    page === null ||
    !Array.isArray(page.data) ||
    typeof page.has_more !== 'boolean'
  ) {
    throw new Error('the answer is not a page of batches')
  }
  if (page.data.length > MAX_PAGE) throw new Error('the answer is a page of more batches than fit')
  if (page.has_more && !isShort(page.last_id))
    throw new Error('the answer is a page without an id to continue from')
  const { has_more, last_id } = page
  const entries: readonly unknown[] = page.data
  if (odd === 'refused') return { data: entries.map(cautiously), has_more, last_id }
  return { data: entries.flatMap(entry => understood(entry) ?? []), has_more, last_id }
}

/**
 * A batch of a list that must not leave any out: one with a status or counts that this version does not know counts as running, with
 * whatever counts it has.
 */
function cautiously(entry: unknown): RemoteBatch {
  const batch = understood(entry)
  if (batch) return batch
  const { request_counts }: Partial<RemoteBatch> = Object(entry)
  const counts = countsIn(request_counts) ?? { processing: 0 }
  return remoteBatch({ ...Object(entry), processing_status: 'in_progress', request_counts: counts })
}

/** The same; undefined for anything but a complete batch. */
export function understood(entry: unknown): RemoteBatch | undefined {
  try {
    return remoteBatch(entry)
  } catch {
    return undefined
  }
}

/**
 * The id of the batch that a create made; undefined if the reply is not a batch. The rest of the batch is checked when it
 * is polled.
 */
export function createdId(answer: unknown): string | undefined {
  // A 200 that carries anything but a batch leaves the outcome unknown.
  const batch = answer as Partial<RemoteBatch & { type: string }> | null
  if (!isId(batch?.id)) return undefined
  return batch.type === 'message_batch' || countsIn(batch.request_counts) ? batch.id : undefined
}
