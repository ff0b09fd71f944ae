import type { Clock } from '../core/clock.ts'
import { BatchStreamError, wrongOption } from '../core/errors.ts'
import type { EndedBatch, SealedBatch, SubmittedBatch } from '../core/flow.ts'
import { compareByRecord } from '../core/job/earliest.ts'
import type { Sealed } from '../core/job/event.ts'
import type { Answer, Job } from '../core/job/job.ts'
import type { BatchState, JobState } from '../core/job/state.ts'
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

/** What a job is opened with; `open.ts` puts it together. */
export interface JobParts {
  readonly name: string
  readonly folder: string
  readonly disk: Disk
  readonly clock: Clock
  readonly journal: Journal
  readonly state: JobState
  readonly records: Records
  readonly lock: Lock | undefined
  /** What the job shares with other machines; undefined for one that only this machine knows. */
  readonly shared?: Shared | undefined
  /** Deleted when the last stage lets go of it. */
  readonly temporary: boolean
}

/**
 * A job as stages use it: the log of what has happened, its files, its input, and the flow control of this process. Stages
 * share it; each notes its own events.
 */
export class StoredJob extends JobLog implements Job {
  readonly clock: Clock
  readonly store: JobStore
  readonly input: JobInput
  /** What this process knows about the API. */
  readonly session: ApiSession
  readonly queue: BatchQueue
  /** Stages set it, since they know the prices. */
  costOf: ((answer: Answer) => number | null) | undefined
  /** What the job shares with other machines; undefined for one that only this machine knows. */
  readonly shared: Shared | undefined
  /** Throws where another process may own the job by now; asked right before the last byte of a batch is sent. */
  readonly assertOwned: () => void
  /** Aborts with the reason when this process has lost the job. */
  readonly lost: AbortSignal
  readonly #end: () => Promise<void>
  #users = 0
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
      ({ code, message: why }) => this.tell({ type: 'stopped', code, why }),
      leftBehindIn(parts.state),
    )
    this.session = new ApiSession(parts.clock, {
      name: parts.name,
      workspace: () => this.state.workspace,
      remember: id => this.note({ type: 'workspace', id }, false),
    })
    this.shared = parts.shared
    const { journal } = parts
    this.assertOwned = () => journal.assertOwned()
    this.lost = journal.lost
    this.#end = closing(parts)
    if (parts.temporary) unreachable.register(this, this.#end)
  }

  /** The random word that custom_ids of this job begin with. */
  get run(): string {
    return this.state.run
  }

  /** Journals a batch whose files are complete. Its records are made safe first: an event must not name what may be lost. */
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
   * Batches of one attempt that are to be continued. Those whose results are here come first, in the order they came; what is
   * to be sent comes last, since it may have to wait for the end of what is in flight, the earliest records first.
   */
  batchesOf(attempt: number): BatchState[] {
    const rank = ({ phase, fetchOrder }: BatchState): number =>
      fetchOrder ?? (phase === 'sealed' ? Infinity : Number.MAX_SAFE_INTEGER)
    return [...this.state.batches.values()]
      .filter(batch => batch.attempt === attempt && batch.phase !== 'void')
      .sort((a, b) => (rank(a) === rank(b) ? compareByRecord(a, b) : rank(a) - rank(b)))
  }

  /** Journals that every record has its row. `rows` is how many there were: a missing one is a bug that must not stay hidden. */
  async finish(rows: number): Promise<void> {
    const { count } = this.store.records
    if (rows !== count)
      throw new BatchStreamError(
        'CBS_STAGE',
        `job ${this.name} has ${count} records and gave ${rows} rows; please report this`,
      )
    if (!this.state.finished) await this.note({ type: 'finished', at: this.clock.now() }, true)
  }

  /** Each stage that works on a job says so, and releases it at its end. */
  retain(): void {
    this.#users += 1
  }

  /**
   * A temporary job is deleted when the last stage releases it. Where that stage came to its own end, what it pushed may not
   * have reached the next one: then the job is deleted when nothing refers to it any more, or with the process.
   */
  async release(stage?: { readonly readableEnded: boolean }): Promise<void> {
    this.#users -= 1
    if (this.#users === 0 && this.store.temporary && !stage?.readableEnded) await this.#end()
  }

  /** Makes `close` wait for a stage that is being destroyed: it may wait for the reply to a create. */
  leave(work: Promise<void>): void {
    const left: Promise<void> = work.then(
      () => void this.#leaving.delete(left),
      () => void this.#leaving.delete(left),
    )
    this.#leaving.add(left)
  }

  /** Closes the files and frees the lock; a temporary job is deleted. Stages that are being destroyed come to their end first. */
  async close(): Promise<void> {
    await Promise.all(this.#leaving)
    await this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Batches that the API had, or has ended, when the job was opened. */
function* leftBehindIn({ batches }: JobState): Generator<number> {
  for (const { number, phase } of batches.values())
    if (phase === 'submitted' || phase === 'ended') yield number
}

/** The job behind what users pass to a stage: stages need its files and its journal. */
export function storedJob(job: Job): StoredJob {
  if (job instanceof StoredJob) return job
  throw wrongOption('job', 'a job that openJob() of this package returned', job)
}

const unreachable: FinalizationRegistry<() => Promise<void>> = new FinalizationRegistry(end => {
  // No caller remains; leftovers are removed at exit.
  end().catch(() => {})
})

/** What ends a job, once. It must not hold the job itself, or a temporary one would never be unreachable. */
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
