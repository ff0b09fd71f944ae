import { nextUnbatched } from '../core/job/state.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { StoredJob } from '../store/job.ts'
import type { Result } from '../core/results/result.ts'
import { ResultPage } from '../core/results/result-page.ts'
import { isUnsent } from '../core/results/status.ts'
import { isTransient } from '../stages/retry/policy.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'

/**
 * Stops submission (`CBS_STOPPED`) if every answer of the first batch that ends is the same failure and more would be sent:
 * the rest would fail alike, and some failures cost as much as answers. Transient failures do not count. A job that has stopped for
 * this sends nothing more.
 */
export function firstBatch(job: StoredJob): Stage<Result, Result> {
  if (job.state.warned && hasMore(job)) job.queue.stop(stoppedBefore())
  let first: number | undefined
  let alike: string | undefined
  let answers = 0
  /** Whether this result is the last one of a first batch that failed. */
  const isLastFailure = (result: Looked): boolean => {
    // The single answer that fills the cache is no evidence.
    if (!job.batch(result.batch.number).primes) first ??= result.batch.number
    const isAsked = !isUnsent(result.status) && !result.repeat && result.reused === null
    if (result.batch.number !== first || !isAsked) return false
    answers += 1
    const way = wayOf(result)
    if (answers === 1) alike = way
    if (alike !== way) alike = undefined
    const isOver = answers === result.batch.requests
    return isOver && alike !== undefined && answers > 1 && hasMore(job)
  }
  const failureIn = (result: Result | ResultPage): Looked | undefined => {
    // One success is enough to rule out a common failure.
    const looked: Iterable<Looked> = !(result instanceof ResultPage)
      ? [result]
      : result.isAllPlain
        ? [{ ...SUCCEEDED, batch: result.batch }]
        : result
    let failure: Looked | undefined
    for (const one of looked) if (isLastFailure(one)) failure = one
    return failure
  }
  return typed(
    new StageTransform({
      objectMode: true,
      takesPages: true,
      transform(result: Result | ResultPage, _encoding, done) {
        const failure = failureIn(result)
        if (!failure) return done(null, result)
        job.queue.stop(stopped(failure))
        const warned = job.note({ type: 'warned', at: job.clock.now() }, true)
        warned.then(() => done(null, result), done)
      },
    }),
  )
}

type Looked = Pick<Result, 'batch' | 'status' | 'repeat' | 'reused' | 'error'>

const SUCCEEDED = { status: 'succeeded', repeat: false, reused: null, error: null } as const

/** The kind of a failure; undefined for a success or a transient failure. */
function wayOf(result: Looked): string | undefined {
  const { status, error } = result
  if (status === 'succeeded' || status === 'canceled' || status === 'unanswered') return undefined
  return isTransient(result) ? undefined : `${status} ${error?.type}`
}

function hasMore({ state, store }: StoredJob): boolean {
  if (!state.spooled.complete || nextUnbatched(state) < store.records.count) return true
  return [...state.batches.values()].some(batch => batch.phase === 'sealed')
}

function stopped({ status, error, batch }: Looked): BatchStreamError {
  return notSent(
    `all ${batch.requests} requests of the first batch are ${status} (${error?.message})`,
  )
}

function stoppedBefore(): BatchStreamError {
  return notSent('all requests of the first batch failed in the same way in an earlier run')
}

function notSent(why: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STOPPED',
    `${why}, so no more are sent; to send the rest anyway, set \`stopOnUniformFailure: false\``,
  )
}
