import type { Clock } from '../core/clock.ts'
import { BatchStreamError, wrongOption } from '../core/errors.ts'
import type { EndedBatch, SealedBatch, SubmittedBatch } from '../core/flow.ts'
import { compareByRecord } from '../core/job/earliest.ts'
import type { Sealed } from '../core/job/event.ts'
import type { BilledAnswer, Job } from '../core/job/job.ts'
import { hasBatchesIn, type BatchState, type JobState } from '../core/job/state.ts'
import { ApiSession } from '../core/session.ts'
import { BatchQueue } from './batch-queue.ts'
import type { Disk } from './disk.ts'
import { JobInput } from './job-input.ts'
import { JobLog } from './job-log.ts'
import { JobStore } from './job-store.ts'
import type { Journal } from './journal.ts'
import type { Lock } from './lock.ts'
import type { Records } from './records.ts'
import type { Shared } from './shared.ts'

/** The parts of a job, assembled by `open.ts`. */
export interface JobParts {
  readonly name: string
  readonly folder: string
  readonly disk: Disk
  readonly clock: Clock
  readonly journal: Journal
  readonly state: JobState
  readonly records: Records
  readonly lock: Lock | undefined
  /** What the job shares with other machines; undefined for a local job. */
  readonly shared?: Shared | undefined
  /** Whether it is deleted when the last stage releases it. */
  readonly temporary: boolean
}

/**
 * A job as stages use it: its event log, files, input, and the flow control of this process. Stages share it, and each
 * records its own events.
 */
export class StoredJob extends JobLog implements Job {
  readonly clock: Clock
  readonly store: JobStore
  readonly input: JobInput
  /** What this process knows about the API. */
  readonly session: ApiSession
  readonly queue: BatchQueue
  /** Set by a stage, since stages know the prices. */
  costOf: ((answer: BilledAnswer) => number | null) | undefined
  /** What the job shares with other machines; undefined for a local job. */
  readonly shared: Shared | undefined
  /** Throws if another process may own the job now. Called right before the last byte of a batch is sent. */
  readonly assertOwned: () => void
  /** Aborts with the reason when this process loses the job. */
  readonly lost: AbortSignal
  readonly #end: () => Promise<void>
  #users = 0
  #isClosed = false
  readonly #leaving: Set<Promise<unknown>> = new Set()

  constructor(parts: JobParts) {
    super(parts.name, parts.journal, parts.state)
    this.clock = parts.clock
    const lastNumber = Math.max(0, ...parts.state.batches.keys())
    this.store = new JobStore({ ...parts, lastNumber })
    this.input = new JobInput(this, parts.records, {
      hashes: parts.shared !== undefined,
      onReplayed: () => this.checkWaiters(),
    })
    this.queue = new BatchQueue(
      () => this.checkWaiters(),
      ({ code, message: why }) => this.emit({ type: 'stopped', code, why }),
      leftBehindIn(parts.state),
    )
    this.session = new ApiSession(parts.clock, {
      name: parts.name,
      workspace: () => this.state.workspace,
      hasBatchesIn: workspace => hasBatchesIn(this.state, workspace),
      remember: id => this.note({ type: 'workspace', id }, false),
    })
    this.shared = parts.shared
    const { journal } = parts
    this.assertOwned = () => journal.assertOwned()
    this.lost = journal.lost
    this.#end = closing(parts)
    if (parts.temporary) unreachable.register(this, this.#end)
  }

  /** The random prefix of this job's custom_ids. */
  get run(): string {
    return this.state.run
  }

  /**
   * Journals a batch whose files are complete. Its records are synced first, since an event must not refer to data that may
   * be lost.
   */
  async seal(sealed: Sealed): Promise<SealedBatch> {
    await this.input.saveBelow(sealed.next)
    await this.store.syncBatches()
    await this.note({ type: 'sealed', ...sealed }, false)
    return this.sealedBatch(sealed.number)
  }

  sealedBatch(number: number): SealedBatch {
    const { attempt, records, requests, bytes } = this.batch(number)
    return { state: 'sealed', job: this, number, attempt, records, requests, bytes }
  }

  submittedBatch(number: number): SubmittedBatch {
    return { ...this.sealedBatch(number), state: 'submitted', id: this.batch(number).id }
  }

  endedBatch(number: number): EndedBatch {
    return { ...this.submittedBatch(number), state: 'ended' }
  }

  /**
   * The batches of an attempt to resume. Those with stored results come first, in the order of fetching; unsent ones come
   * last, earliest records first, since they may have to wait for batches in flight.
   */
  batchesOf(attempt: number): BatchState[] {
    const rank = ({ phase, fetchOrder }: BatchState): number =>
      fetchOrder ?? (phase === 'sealed' ? Infinity : Number.MAX_SAFE_INTEGER)
    return [...this.state.batches.values()]
      .filter(batch => batch.attempt === attempt && batch.phase !== 'void')
      .sort((a, b) => (rank(a) === rank(b) ? compareByRecord(a, b) : rank(a) - rank(b)))
  }

  /** Journals that every record has its row. `rows` is the number of rows; a missing row is a bug that must not be hidden. */
  async finish(rows: number): Promise<void> {
    const { count } = this.store.records
    if (rows !== count)
      throw new BatchStreamError(
        'CBS_STAGE',
        `job ${this.name} has ${count} records and gave ${rows} rows; please report this`,
      )
    if (!this.state.finished) await this.note({ type: 'finished', at: this.clock.now() }, true)
  }

  /**
   * Called by each stage that uses the job; the stage calls `release` at its end.
   *
   * @throws BatchStreamError `CBS_OPTION` for a closed job
   */
  retain(): void {
    this.mustBeOpen()
    this.#users += 1
  }

  /** @throws BatchStreamError `CBS_OPTION` for a closed job */
  mustBeOpen(): void {
    const closed = this.closedError()
    if (closed) throw closed
  }

  /** The error of a closed job; undefined for an open one. `cause`: an error that its closed files have led to. */
  closedError(cause?: BatchStreamError): BatchStreamError | undefined {
    if (!this.#isClosed) return undefined
    return new BatchStreamError(
      'CBS_OPTION',
      `job ${this.name} is closed: open it again, and close it when the pipeline has ended`,
      { option: 'job', cause },
    )
  }

  /**
   * Deletes a temporary job when the last stage releases it. If that stage ended normally, its last output may not have
   * reached the next stage yet; then the job is deleted when it is garbage-collected, or at exit.
   */
  async release(stage?: { readonly readableEnded: boolean }): Promise<void> {
    this.#users -= 1
    if (this.#users === 0 && this.store.temporary && !stage?.readableEnded) await this.#end()
  }

  /** Makes `close` wait for a stage that is being destroyed and may await the reply to a create. */
  leave(work: Promise<void>): void {
    const left: Promise<void> = work.then(
      () => void this.#leaving.delete(left),
      () => void this.#leaving.delete(left),
    )
    this.#leaving.add(left)
  }

  /** Closes the files and releases the lock; deletes a temporary job. It first waits for stages that are being destroyed. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#leaving)
    await this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Batches that were in flight or ended when the job was opened. */
function* leftBehindIn({ batches }: JobState): Generator<number> {
  for (const { number, phase } of batches.values())
    if (phase === 'submitted' || phase === 'ended') yield number
}

/** The internal job behind the public one: stages need its files and journal. */
export function storedJob(job: Job): StoredJob {
  if (job instanceof StoredJob) return job
  throw wrongOption('job', 'a job that openJob() of this package returned', job)
}

const unreachable: FinalizationRegistry<() => Promise<void>> = new FinalizationRegistry(end => {
  // No caller remains; leftovers are removed at exit.
  end().catch(() => {})
})

/** Ends a job once. It must not reference the job itself, or a temporary one would never be garbage-collected. */
function closing({
  records,
  journal,
  disk,
  folder,
  lock,
  temporary,
}: JobParts): () => Promise<void> {
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    try {
      await records.close().finally(() => journal.close())
      if (temporary) await disk.remove(folder)
    } finally {
      await lock?.release()
    }
  }
  return () => (closed ??= close())
}
