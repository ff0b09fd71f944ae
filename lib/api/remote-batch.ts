import { MalformedReply } from './sdk-error.ts'
import type { Counts } from '../core/job/event.ts'

/** A batch as the API describes it, as far as we read it. */
export interface RemoteBatch {
  readonly id: string
  readonly processing_status: 'in_progress' | 'canceling' | 'ended'
  readonly request_counts: Counts
  readonly created_at: string
  readonly ended_at: string | null
  /** Since when its results cannot be fetched any more. */
  readonly archived_at?: string | null
  readonly results_url: string | null
}

export interface Page {
  readonly data: readonly RemoteBatch[]
  readonly has_more: boolean
  readonly last_id: string | null
}

/** The host does not matter: results are read from the base URL. */
const API_URL = 'https://api.anthropic.com'

/** A batch if the answer is one: a proxy's page or half an answer must not be taken for it. */
export function remoteBatch(answer: unknown): RemoteBatch {
  // Each field that is read is checked on the next lines.
  const batch = answer as RemoteBatch | null
  if (
    typeof batch !== 'object' ||
    batch === null ||
    !isId(batch.id) ||
    !isCounts(batch.request_counts) ||
    // Without its time a batch of ours could be taken for none, and be sent again.
    Number.isNaN(Date.parse(batch.created_at))
  ) {
    throw new Error('the answer is not a batch')
  }
  if (!['in_progress', 'canceling', 'ended'].includes(batch.processing_status)) {
    throw new Error(`the answer names the batch status ${String(batch.processing_status)}`)
  }
  return batch
}

/** Where the results of an ended batch lie; where it does not say so, where they always have been. */
export function resultsUrlOf({ id, results_url }: Pick<RemoteBatch, 'id' | 'results_url'>): string {
  return typeof results_url === 'string' && httpUrl(results_url, API_URL)
    ? results_url
    : `${API_URL}/v1/messages/batches/${encodeURIComponent(id)}/results`
}

/**
 * The URL from which results are read, always of the base URL's origin. A URL of another origin is that of the API behind a
 * gateway: its path is read below the gateway's own, which may have a prefix.
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

/** Another batch's answer (of a proxy's cache, say) would have us read another batch's results. */
export function about(id: string, batch: RemoteBatch): RemoteBatch {
  if (batch.id !== id) throw new Error(`the answer is about ${batch.id}`)
  return batch
}

/** The form of ids may change, but not to what has blanks or is longer than any id. */
function isId(id: unknown): id is string {
  return typeof id === 'string' && /^[\x21-\x7e]{1,200}$/.test(id)
}

const STATES = ['processing', 'succeeded', 'errored', 'canceled', 'expired']

function isCounts(counts: unknown): counts is Counts {
  // Each of the five is checked; `Object` makes an object without members of what is none.
  const given: Readonly<Record<string, unknown>> = Object(counts)
  return STATES.every(state => Number.isSafeInteger(given[state]) && Number(given[state]) >= 0)
}

/** A page if the answer is one. */
export function remotePage(answer: unknown, odd: 'refused' | 'left out'): Page {
  // Each field that is read is checked on the next lines.
  const page = answer as Page | null
  if (
    typeof page !== 'object' ||
    page === null ||
    !Array.isArray(page.data) ||
    typeof page.has_more !== 'boolean'
  ) {
    throw new Error('the answer is not a page of batches')
  }
  if (page.has_more && typeof page.last_id !== 'string')
    throw new Error('the answer is a page that leads nowhere')
  const { has_more, last_id } = page
  const entries: readonly unknown[] = page.data
  if (odd === 'refused') return { data: entries.map(remoteBatch), has_more, last_id }
  return { data: entries.flatMap(entry => understood(entry) ?? []), has_more, last_id }
}

function understood(entry: unknown): RemoteBatch | undefined {
  try {
    return remoteBatch(entry)
  } catch {
    return undefined
  }
}

/** The id of the batch that a create has made; undefined where the answer is no batch. A batch of this shape is looked at later. */
export function createdId(answer: unknown): string | undefined {
  // Read with care: whatever a 200 carries that is no batch leaves the outcome unknown.
  const batch = answer as Partial<RemoteBatch & { type: string }> | null
  if (!isId(batch?.id)) return undefined
  return batch.type === 'message_batch' || isCounts(batch.request_counts) ? batch.id : undefined
}
