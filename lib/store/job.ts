import type { Clock } from '../core/clock.ts'
import { ApiSession } from '../core/session.ts'
import { BatchStreamError, messageOf } from '../core/errors.ts'
import type { EndedBatch, SealedBatch, SourceRecord, SubmittedBatch } from '../core/flow.ts'
import { BatchWriter, batchPath } from './batch-files.ts'
import { BatchQueue } from './batch-queue.ts'
import type { Disk } from './disk.ts'
import type { JobEvent, Sealed } from '../core/job/event.ts'
import { changedInput, fedAlready, shorterInput } from './fed-again.ts'
import type { Journal } from './journal.ts'
import type { Lock } from './lock.ts'
import { Records, type RecordReader } from './records.ts'
import type { RunEvent } from '../core/job/run-event.ts'
import { notify } from '../core/notify.ts'
import { compareByRecord } from '../core/job/earliest.ts'
import { commit, step, type Change, type BatchState, type JobState } from '../core/job/state.ts'

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
  /** Deleted when the last stage lets go of it. */
  readonly temporary: boolean
}

/** Input that is fed again: what is there already is read beside it; `next` is the ordinal that comes next. */
type Again = { readonly reader: RecordReader; next: number }

/**
 * The durable memory of a run: records, requests until they are accepted, results as they came, and the journal that
 * alone says how far each batch is. Stages share it; each appends its own events.
 */
export class Job {
  readonly name: string
  readonly folder: string
  readonly disk: Disk
  readonly clock: Clock
  readonly records: Records
  readonly temporary: boolean
  /** What this process knows about the API. */
  readonly session: ApiSession
  readonly queue: BatchQueue = new BatchQueue(
    () => this.#look(),
    ({ code, message: why }) => this.tell({ type: 'stopped', code, why }),
  )
  readonly #journal: Journal
  readonly #end: () => Promise<void>
  readonly #listeners: Set<{ readonly hear: (event: RunEvent) => unknown }> = new Set()
  readonly #waiting: Set<() => void> = new Set()
  readonly #known: number
  #state: JobState
  #lastNumber: number
  #users = 0
  readonly #leaving: Set<Promise<unknown>> = new Set()
  /** The last note: each is checked against the state that the one before it left. */
  #noting: Promise<void> = Promise.resolve()
  /** The last note on how much is kept: they must not overtake each other. */
  #keeping: Promise<void> = Promise.resolve()
  #again: Again | undefined
  #feeder: object | undefined

  constructor(parts: JobParts) {
    this.name = parts.name
    this.folder = parts.folder
    this.disk = parts.disk
    this.clock = parts.clock
    this.records = parts.records
    this.temporary = parts.temporary
    this.session = new ApiSession(parts.clock, {
      name: parts.name,
      workspace: () => this.#state.workspace,
      remember: id => this.note({ type: 'workspace', id }, false),
    })
    this.#journal = parts.journal
    this.#end = closing(parts)
    if (parts.temporary) unreachable.register(this, this.#end)
    this.#state = parts.state
    this.#known = parts.records.count
    this.#lastNumber = Math.max(0, ...parts.state.batches.keys())
  }

  get state(): JobState {
    return this.#state
  }

  /** The random word that custom_ids of this job begin with. */
  get run(): string {
    return this.#state.run
  }

  /**
   * Appends an event to the journal and to the state; with `durable`, returns when it survives a power cut. An event that
   * the state does not allow is refused before it is written. Notes keep their order.
   */
  note(event: JobEvent, durable: boolean): Promise<void> {
    const note = async (): Promise<void> => {
      const change = this.#changeBy(event)
      await this.#journal.append(event, durable)
      this.#state = commit(change)
      this.tell(event)
      this.#look()
    }
    const noted = this.#noting.then(note)
    this.#noting = noted.catch(() => {})
    return noted
  }

  #changeBy(event: JobEvent): Change {
    try {
      return step(this.#state, event)
    } catch (cause) {
      throw new BatchStreamError(
        'CBS_STAGE',
        `job ${this.name} cannot note "${event.type}": ${messageOf(cause)}; nothing was written`,
        { cause },
      )
    }
  }

  #look(): void {
    for (const look of [...this.#waiting]) look()
  }

  /**
   * Calls `listener` for each event from now on; the function returned stops it. A listener that throws or rejects changes
   * nothing: its first failure becomes a process warning.
   */
  listen(listener: (event: RunEvent) => unknown): () => void {
    // An object of its own, since one function may listen twice.
    const entry = { hear: listener }
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  /** Calls the listeners with an event that is not for the journal. */
  tell(event: RunEvent): void {
    for (const { hear } of [...this.#listeners]) notify('job.listen', hear, event)
  }

  /** Resolves as soon as `condition` holds; it is looked at after each event. Rejects when the signal aborts. */
  when(condition: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(look)
        signal.removeEventListener('abort', stop)
      }
      const look = (): void => {
        try {
          if (!condition()) return
          resolve()
        } catch (cause) {
          // The caller that noted the event must not fail for it.
          reject(cause)
        }
        leave()
      }
      const stop = (): void => {
        leave()
        reject(signal.reason)
      }
      if (signal.aborted) return stop()
      signal.addEventListener('abort', stop)
      this.#waiting.add(look)
      look()
    })
  }

  /**
   * Says that the input is about to be fed again from its start; gives how far it has come. A second feeder's records would
   * be taken for more of them, and be paid for twice: that is `CBS_STAGE`.
   */
  startReplay(feeder?: object): Again {
    if (feeder && this.#feeder && feeder !== this.#feeder) throw fedAlready(this.name)
    this.#feeder ??= feeder
    return (this.#again ??= { reader: this.records.reader(this), next: 0 })
  }

  /**
   * Takes a record in and gives its ordinal. A job that is opened again is fed the same input again: what it has already
   * is compared, not kept twice, and a difference is `CBS_INPUT`.
   */
  async admit(record: SourceRecord): Promise<number> {
    const again = this.startReplay()
    const ordinal = again.next++
    if (ordinal < this.#known) {
      const known = await again.reader.read(ordinal, 1)
      if (!known.raw.equals(record.raw)) throw changedInput(this.name, ordinal, record)
      if (again.next === this.#known) this.#look()
      return ordinal
    }
    if (this.#state.kept.complete) throw changedInput(this.name, ordinal, record)
    if (record.source !== undefined) {
      const { index, isNew } = this.records.sourceIndex(record.source)
      if (isNew) await this.note({ type: 'source', index, name: record.source }, false)
    }
    this.records.append(record)
    if (this.records.full) await this.records.flush()
    return ordinal
  }

  /** True while input that is fed again has not been compared with all that is here: nothing is sent meanwhile. */
  get isReplaying(): boolean {
    return this.#again !== undefined && this.#again.next < this.#known
  }

  /** Kept records that no batch covers yet; for a job that goes on without its input. */
  async *uncovered(): AsyncGenerator<SourceRecord> {
    const reader = this.records.reader(this)
    for (let ordinal = this.firstUncovered; ordinal < this.records.count; ordinal++) {
      yield reader.peek(ordinal, 1) ?? (await reader.read(ordinal, 1))
    }
  }

  /** Says that no more records come, or `broken` why they do not; all that came are safe when this returns. */
  async complete(broken?: string): Promise<void> {
    const { next } = this.startReplay()
    if (next < this.#known) throw shorterInput(this.name, next, this.#known)
    await this.#keep(true, broken)
  }

  #keep(complete: boolean, broken?: string): Promise<void> {
    const keep = async (): Promise<void> => {
      const { count, bytes } = this.records
      await this.records.sync()
      const isWhole = complete || this.#state.kept.complete
      const kept = { records: count, bytes, complete: isWhole, ...(broken && { broken }) }
      await this.note({ type: 'kept', ...kept }, complete)
    }
    const kept = this.#keeping.then(keep)
    this.#keeping = kept.catch(() => {})
    return kept
  }

  /** The first record that no batch covers yet. */
  get firstUncovered(): number {
    let next = 0
    for (const batch of this.#state.batches.values()) {
      if (batch.attempt === 1 && batch.phase !== 'void') next = Math.max(next, batch.next)
    }
    return next
  }

  /** Starts the files of a new batch; with `dedupe` also those that tell repeats. */
  async newBatch(dedupe = false): Promise<BatchWriter> {
    this.#lastNumber += 1
    return await BatchWriter.create(this.disk, this.folder, this.#lastNumber, dedupe)
  }

  /** Journals a batch whose files are complete. Its records are made safe first: an event must not name what may be lost. */
  async seal(sealed: Sealed): Promise<SealedBatch> {
    if (this.#state.kept.records < sealed.next) await this.#keep(false)
    await this.disk.syncFolder(`${this.folder}/batches`)
    await this.note({ type: 'sealed', ...sealed }, false)
    return this.sealedBatch(sealed.number)
  }

  batch(number: number): BatchState {
    const batch = this.#state.batches.get(number)
    if (!batch) throw new BatchStreamError('CBS_STAGE', `job ${this.name} has no batch ${number}`)
    return batch
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
   * Batches of one attempt that are to be gone on with. Those whose results are here come first, in the order they came;
   * what is to be sent comes last, since it may have to wait for the end of what is in flight, the earliest records first.
   */
  batchesOf(attempt: number): BatchState[] {
    const rank = ({ phase, fetchOrder }: BatchState): number =>
      fetchOrder ?? (phase === 'sealed' ? Infinity : Number.MAX_SAFE_INTEGER)
    return [...this.#state.batches.values()]
      .filter(batch => batch.attempt === attempt && batch.phase !== 'void')
      .sort((a, b) => (rank(a) === rank(b) ? compareByRecord(a, b) : rank(a) - rank(b)))
  }

  path(number: number, what: Parameters<typeof batchPath>[2]): string {
    return batchPath(this.folder, number, what)
  }

  /** Each stage that works on a job says so, and lets go of it at its end. */
  retain(): void {
    this.#users += 1
  }

  /**
   * A temporary job is deleted when the last stage lets go of it. Where that stage came to its own end, what it gave may
   * still be on its way to the next one: then the job goes when nothing refers to it any more, or with the process.
   */
  async release(stage?: { readonly readableEnded: boolean }): Promise<void> {
    this.#users -= 1
    if (this.#users === 0 && this.temporary && !stage?.readableEnded) await this.#end()
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

const unreachable: FinalizationRegistry<() => Promise<void>> = new FinalizationRegistry(end => {
  // Nobody is left who could be told; what stays is removed when the process ends.
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
      await records.close()
      await journal.close()
      if (temporary) await disk.remove(folder)
    } finally {
      await lock?.release()
    }
  }
  return () => (closed ??= close())
}
