import type { Api } from '../../api/api.ts'
import { errorOf } from '../../api/api.ts'
import { eachPart } from '../../api/transport.ts'
import { resultsUrlOf } from '../../api/remote-batch.ts'
import type { Failure } from '../../api/failure.ts'
import { withIdleTimeout, type IdleTimer } from '../../api/idle-timeout.ts'
import { backoff, observeFailure, Retries } from '../../api/retry-policy.ts'
import { BrokenBody, isSdkError, isUndecodable, MalformedReply } from '../../api/sdk-error.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { AppendFile } from '../../store/append-file.ts'
import { replaceFile } from '../../store/disk.ts'
import type { StoredJob } from '../../store/job.ts'
import { MAX_RESULT_LINE_BYTES, SILENCE_MS } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import { withDownloadScanner, type Scanner } from '../../core/json/scanner.ts'
import { ResultFile } from '../../store/results/result-file.ts'
import { LineFeed } from './line-feed.ts'
import { Verifier } from './verify.ts'

/** A set that is short or cannot be trusted is fetched so often before that is taken for the truth. */
const DOWNLOADS = 5

export interface DownloadOptions {
  readonly job: StoredJob
  readonly api: Api
  readonly number: number
  readonly ids: Ids
  readonly signal: AbortSignal
  /** How long a 404 is taken for a hiccup, unless the API says that the batch is archived. */
  readonly settleMs: number
  readonly onWait: (why: string) => void
}

/**
 * Brings a batch's result set to disk and proves it whole: every line parses, every id is ours and comes once, and the
 * counts agree. Only then does the journal say `fetched`, durably. A set that stays short leaves its requests unanswered; one
 * that stays dirty is `CBS_API`, and is kept beside the job.
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { job, api, number, onWait, signal } = options
  const { counts: told, resultsUrl, id, requests, submittedAt } = job.batch(number)
  if (told === null || resultsUrl === null || id === null || submittedAt === null) {
    return await without(job, number, `the API does not know batch ${id ?? number} (any more)`)
  }
  // With the key of another workspace every set would look as if it were gone.
  await api.proveWorkspace()
  const retries = new Retries(job.session)
  let counts = told
  let url = resultsUrl
  let createdAt = submittedAt
  // When the results were missing first. Neither clock of the wall decides, as both may be wrong by weeks.
  let goneSince: number | undefined
  let isArchived = false
  // What the batch said at its end may be what is wrong: the tallies are summed up late, and an address may change.
  const lookAgain = async (): Promise<void> => {
    const now = await api.retrieve(id)
    if (now?.processing_status !== 'ended') return
    counts = now.request_counts
    url = resultsUrlOf(now)
    createdAt = Date.parse(now.created_at)
    isArchived = typeof now.archived_at === 'string'
  }
  let bad = 0
  for (;;) {
    const path = job.store.path(number, 'results')
    const opened = new AppendFile(
      await job.store.disk.open(path, 'create'),
      0,
      MAX_RESULT_LINE_BYTES,
    )
    const file = new ResultFile(opened, requests)
    const verifier = new Verifier(options.ids, requests, counts, file)
    try {
      const bytes = await fetchOnce(options, url, verifier, file)
        .finally(() => opened.close())
        .catch(cause => discard(options, cause))
      const verdict = verifier.end()
      bad += 1
      if (verdict.kind === 'whole' || (verdict.kind === 'short' && bad >= DOWNLOADS)) {
        const why =
          verdict.kind === 'short'
            ? 'the API ended the batch and gave no line for this request'
            : null
        return await keep(options, file.index, { lines: verifier.lines, bytes, why })
      }
      const what =
        verdict.kind === 'short' ? `it has ${verifier.lines} lines of ${requests}` : verdict.why
      if (bad >= DOWNLOADS) throw await dirty(job, number, what)
      onWait(`the results of batch ${id} are not whole (${what}); fetching them again`)
      await lookAgain()
      await job.clock.sleep(
        backoff({ failures: bad, random: Math.random(), waits: job.session.waits }),
        signal,
      )
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof BatchStreamError) throw cause
      const failure = await observeFailure(cause, job.session)
      const now = job.clock.elapsed()
      if (failure.kind === 'notFound') goneSince ??= now
      const goneForMs = now - (goneSince ?? now)
      if (failure.kind === 'notFound' && (isArchived || goneForMs >= options.settleMs))
        return await without(job, number, goneFor(job, id, createdAt))
      await waitToRetry(options, failure, retries, goneForMs)
      if (failure.kind !== 'notFound' && failure.kind !== 'malformed') continue
      await lookAgain()
      // A results_url may lead nowhere for good; every second try reads where results have always been.
      if (retries.failures % 2 === 1) url = resultsUrlOf({ id, results_url: null })
    }
  }
}

/** One download, checked line by line and written as it comes. */
async function fetchOnce(
  { job, api, signal }: DownloadOptions,
  url: string,
  verifier: Verifier,
  file: ResultFile,
): Promise<number> {
  const bring = async (
    { signal: quiet, moved }: IdleTimer,
    scanner: Scanner | undefined,
  ): Promise<number> => {
    const body = await api.download(url, quiet)
    const feed = new LineFeed(verifier, scanner)
    await eachPart(body, part => {
      moved()
      feed.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
      if (feed.held > MAX_RESULT_LINE_BYTES) verifier.tooLong(feed.size - feed.held)
      // What comes after a line that cannot be trusted is not worth the download, which may have no end.
      if (verifier.isDirty) return false
      return file.full ? file.flush().then(() => true) : true
    })
    if (!verifier.isDirty) feed.end()
    return await file.sync()
  }
  try {
    return await withIdleTimeout({ clock: job.clock, signal, limitMs: SILENCE_MS }, timer =>
      // Inside of the timeout: a download that is given up may still use its scanner for a while.
      withDownloadScanner(scanner => bring(timer, scanner)),
    )
  } catch (cause) {
    // What breaks a body in the middle is fetch's, not the SDK's; it means that the connection broke.
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

/** Half a result set is of no use, and may fill the disk. */
async function discard({ job, number }: DownloadOptions, cause: unknown): Promise<never> {
  await job.store.disk.remove(job.store.path(number, 'results')).catch(() => {})
  throw cause
}

async function keep(
  { job, number }: DownloadOptions,
  index: Buffer,
  fetched: { readonly lines: number; readonly bytes: number; readonly why: string | null },
): Promise<void> {
  await replaceFile(job.store.disk, job.store.path(number, 'lines'), index)
  if (job.batch(number).fetched) return
  await job.note({ type: 'fetched', number, ...fetched }, true)
}

/** There is nothing to fetch: every request of the batch stays unanswered. */
async function without(job: StoredJob, number: number, why: string): Promise<void> {
  if (job.batch(number).fetched)
    throw new BatchStreamError(
      'CBS_API',
      `the results of batch ${number} were on the disk of another machine and cannot be fetched again: ${why}`,
    )
  await job.note({ type: 'fetched', number, lines: 0, bytes: 0, why }, true)
}

async function waitToRetry(
  { job, number, signal, onWait, settleMs }: DownloadOptions,
  failure: Failure,
  retries: Retries,
  goneForMs: number,
): Promise<void> {
  let waitMs = retries.next(failure)
  // A 404 is a hiccup until the settle time has passed.
  if (failure.kind === 'notFound') {
    const pause = backoff({
      failures: retries.failures,
      random: Math.random(),
      waits: job.session.waits,
    })
    waitMs = Math.min(pause, Math.max(1, settleMs - goneForMs))
  }
  if (waitMs === null) throw errorOf(`fetch the results of batch ${number}`, failure)
  onWait(failure.message)
  await job.clock.sleep(waitMs, signal)
}

async function dirty(job: StoredJob, number: number, why: string): Promise<BatchStreamError> {
  const kept = `${job.store.path(number, 'results')}.dirty`
  await job.store.disk.rename(job.store.path(number, 'results'), kept)
  return new BatchStreamError(
    'CBS_API',
    `the results of batch ${job.batch(number).id} cannot be trusted after ${DOWNLOADS} downloads: ${why}. They are kept in ${kept}; no row of them was written`,
  )
}

function goneFor(job: StoredJob, id: string, createdAt: number): string {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
  return `the API has no results for batch ${id} (404 on ${day(job.session.serverTime.nowOrOurs())}); it was created on ${day(createdAt)}, and results are kept for 29 days`
}

/** Whether results that an earlier owner of the job has fetched are not on this disk. */
export async function areResultsLost(job: StoredJob, number: number): Promise<boolean> {
  const { fetched, foreign } = job.batch(number)
  if (!job.shared || !fetched || fetched.lines === 0 || foreign) return false
  return (await job.store.disk.look(job.store.path(number, 'lines'))) === undefined
}
