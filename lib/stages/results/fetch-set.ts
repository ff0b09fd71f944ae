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
}

/** One download of a set, at the path `download` of its batch. */
export interface Fetched {
  readonly verdict: ResultSetVerdict
  readonly lines: number
  readonly index: LineIndex
}

/** Downloads a set once, checking and writing each line as it arrives. Returns the failure of a download that may be repeated. */
export async function fetchSet(
  options: FetchOptions,
  url: string,
  counts: Counts,
): Promise<Fetched | { readonly failure: Failure }> {
  const { job, number, ids, signal, isAdopted } = options
  const { requests } = job.batch(number)
  const path = job.store.path(number, 'download')
  const created = await job.store.disk.open(path, 'create')
  const opened = new AppendFile(created, 0, MAX_RESULT_LINE_BYTES)
  const file = new ResultFile(opened, requests)
  const verifier = new Verifier(ids, requests, counts, file, isAdopted)
  try {
    await readSet(options, url, verifier, file).finally(() => opened.close())
  } catch (cause) {
    // An unfinished set is useless and may fill the disk.
    await job.store.disk.remove(path).catch(() => {})
    if (signal.aborted) throw signal.reason
    if (cause instanceof BatchStreamError) throw cause
    return { failure: await observeFailure(cause, job.session) }
  }
  return { verdict: verifier.end(), lines: verifier.lines, index: file.index }
}

async function readSet(
  { job, api, signal }: FetchOptions,
  url: string,
  verifier: Verifier,
  file: ResultFile,
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
      feed.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
      if (feed.held > MAX_RESULT_LINE_BYTES) verifier.tooLong(feed.size - feed.held)
      // An invalid set is not worth the rest of a download, which may be endless.
      if (verifier.isInvalid) return false
      return file.full ? file.flush().then(() => true) : true
    })
    if (!verifier.isInvalid) feed.end()
    await file.sync()
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

/** Waits before a failed download is repeated. Throws the failure if that is not worth it. */
export async function waitToRetry(
  { job, number, signal, onWait }: FetchOptions,
  failure: Failure,
  retries: Retries,
): Promise<void> {
  // Not the reply to this request, since its batch has ended.
  const isForeign = failure.kind === 'notFound' || failure.kind === 'refused'
  const waitMs = retries.next(isForeign ? { ...failure, kind: 'malformed' } : failure)
  if (waitMs === null) throw errorOf(`fetch the results of batch ${number}`, failure)
  onWait(failure.message)
  await job.queue.betweenTries(number, job.clock.sleep(waitMs, signal))
}

/** Waits before a set is downloaded again, because of what the last download has shown. */
export async function pauseBefore(
  { job, signal }: Pick<FetchOptions, 'job' | 'signal'>,
  { failures, mostMs }: Extract<Decision, { readonly kind: 'again' }>,
): Promise<void> {
  const pauseMs = Math.min(pauseAfter(failures, job.session), Math.max(1, mostMs))
  await job.clock.sleep(pauseMs, signal)
}
