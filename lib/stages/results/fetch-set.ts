import type { Api } from '../../api/api.ts'
import { errorOf } from '../../api/api.ts'
import { eachPart } from '../../api/transport.ts'
import type { Failure } from '../../api/failure.ts'
import { withIdleTimeout, type IdleTimer } from '../../api/idle-timeout.ts'
import { observeFailure, pauseAfter, type Retries } from '../../api/retry-policy.ts'
import {
  BrokenBody,
  hasApiForm,
  isSdkError,
  isUndecodable,
  MalformedReply,
} from '../../api/sdk-error.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { Counts } from '../../core/job/event.ts'
import { AppendFile } from '../../store/append-file.ts'
import type { StoredJob } from '../../store/job.ts'
import { IDLE_TIMEOUT_MS, MAX_RESULT_LINE_BYTES } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import type { LineIndex } from '../../store/results/line-index.ts'
import { withDownloadScanner, type Scanner } from '../../core/json/scanner.ts'
import { ResultFile } from '../../store/results/result-file.ts'
import type { Decision } from './attempts.ts'
import { LineFeed } from './line-feed.ts'
import { Verifier, type ResultSetVerdict } from './verify.ts'

/** What a download of a batch's results needs. */
export interface FetchOptions {
  readonly job: StoredJob
  readonly api: Api
  readonly number: number
  readonly ids: Ids
  readonly signal: AbortSignal
  /** Called with the reason for each wait. */
  readonly onWait: (why: string) => void
  /**
   * Whether the user has decided that the results under the batch's id are its own.
   * @default false
   */
  readonly isAdopted?: boolean
  /** Called before a wait if the set may not come for long, so that others need not wait for it. */
  readonly onSlow?: (() => void) | undefined
  /**
   * Takes each download, so that it does not run beside others. It calls back when data arrives.
   * @default each runs at once
   */
  readonly inTurn?: (<T>(download: (onData: () => void) => Promise<T>) => Promise<T>) | undefined
}

/** One download of a set, at the path `download` of its batch. */
export interface Fetched {
  readonly verdict: ResultSetVerdict
  readonly lines: number
  readonly index: LineIndex
}

/** A download that failed and may be repeated, and the lines that came before that. */
export interface FailedFetch {
  readonly failure: Failure
  readonly part?: LineIndex
}

/** Downloads a set once, checking and writing each line as it arrives. */
export async function fetchSet(
  options: FetchOptions,
  url: string,
  counts: Counts,
): Promise<Fetched | FailedFetch> {
  const fetchOnce = (onData: () => void): Promise<Fetched | FailedFetch> =>
    fetchNow(options, url, counts, onData)
  return await (options.inTurn?.(fetchOnce) ?? fetchOnce(() => {}))
}

async function fetchNow(
  options: FetchOptions,
  url: string,
  counts: Counts,
  onData: () => void,
): Promise<Fetched | FailedFetch> {
  const { job, number, ids, signal, isAdopted } = options
  const { requests } = job.batch(number)
  const path = job.store.path(number, 'download')
  const created = await job.store.disk.open(path, 'create')
  const opened = new AppendFile(created, 0, MAX_RESULT_LINE_BYTES)
  const file = new ResultFile(opened, requests)
  const verifier = new Verifier(ids, requests, counts, file, isAdopted)
  const fetched = async (): Promise<Fetched> => {
    await readSet(options, url, verifier, file, onData)
    await file.sync()
    return { verdict: verifier.end(), lines: verifier.lines, index: file.index }
  }
  const failed = async (cause: unknown): Promise<FailedFetch> => {
    const isFailure = !signal.aborted && !(cause instanceof BatchStreamError)
    if (isFailure && verifier.lines > 0 && !verifier.isInvalid) {
      // Something on the way may cut each download at the same place.
      await file.sync()
      return { failure: await observeFailure(cause, job.session), part: file.index }
    }
    // Nothing in it is of use, and it may fill the disk.
    await job.store.disk.remove(path).catch(() => {})
    if (signal.aborted) throw signal.reason
    if (!isFailure) throw cause
    return { failure: await observeFailure(cause, job.session) }
  }
  return await fetched()
    .catch(failed)
    .finally(() => opened.close())
}

async function readSet(
  { job, api, signal }: FetchOptions,
  url: string,
  verifier: Verifier,
  file: ResultFile,
  onData: () => void,
): Promise<void> {
  const read = async (
    { signal: idle, moved }: IdleTimer,
    scanner: Scanner | undefined,
  ): Promise<void> => {
    const { body, secrets } = await api.download(url, idle)
    verifier.secrets = secrets
    const feed = new LineFeed(verifier, scanner)
    await eachPart(body, part => {
      moved()
      onData()
      feed.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
      if (feed.held > MAX_RESULT_LINE_BYTES) verifier.tooLong(feed.size - feed.held)
      // An invalid set is not worth the rest of a download, which may be endless.
      if (verifier.isInvalid) return false
      return file.full ? file.flush().then(() => true) : true
    })
    if (!verifier.isInvalid) feed.end()
  }
  try {
    await withIdleTimeout({ clock: job.clock, signal, limitMs: IDLE_TIMEOUT_MS }, timer =>
      // Within the timeout, because an abandoned download may still use its scanner for a while.
      withDownloadScanner(scanner => read(timer, scanner)),
    )
  } catch (cause) {
    // An error in the middle of a body comes from the transport, not from the SDK, and means that the connection broke.
    const isBroken = !(
      cause instanceof BatchStreamError ||
      cause instanceof MalformedReply ||
      signal.aborted ||
      isSdkError(cause) ||
      isUndecodable(cause)
    )
    throw isBroken ? new BrokenBody(cause) : cause
  }
}

/** Whether a failure means that the API has no results: the 404 of a filter, or of a gateway without this path, does not say so. */
export function isGone({ kind, cause }: Failure, isArchived: boolean): boolean {
  return kind === 'notFound' && (isArchived || hasApiForm(cause))
}

/** After so many failures of a download, or before so long a wait, other sets are downloaded in the meantime. */
const QUICK_TRIES = 3
const QUICK_MS = 10_000

/**
 * Waits before a failed download is repeated. Throws the failure if that is not worth it, with `more` as what the user can do about it.
 */
export async function waitToRetry(
  { job, number, signal, onWait, onSlow }: FetchOptions,
  failure: Failure,
  retries: Retries,
  more = '',
): Promise<void> {
  // Not the reply to this request, since its batch has ended.
  const isForeign = failure.kind === 'notFound' || failure.kind === 'refused'
  const waitMs = retries.next(isForeign ? { ...failure, kind: 'malformed' } : failure)
  if (waitMs === null) {
    const { code, message, cause } = errorOf(`fetch the results of batch ${number}`, failure)
    throw new BatchStreamError(code, `${message}${more}`, {
      cause,
      ...(more !== '' && { option: 'adopt' }),
    })
  }
  onWait(failure.message)
  if (retries.failures >= QUICK_TRIES || waitMs > QUICK_MS) onSlow?.()
  await job.queue.betweenTries(number, job.clock.sleep(waitMs, signal))
}

/** Waits before a set is downloaded again, because of what the last download has shown. */
export async function pauseBefore(
  { job, signal, onSlow }: Pick<FetchOptions, 'job' | 'signal' | 'onSlow'>,
  { failures, mostMs }: Extract<Decision, { readonly kind: 'again' }>,
): Promise<void> {
  if (failures >= QUICK_TRIES) onSlow?.()
  const pauseMs = Math.min(pauseAfter(failures, job.session), Math.max(1, mostMs))
  await job.clock.sleep(pauseMs, signal)
}
