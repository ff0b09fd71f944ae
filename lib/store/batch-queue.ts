import type { BatchStreamError } from '../core/errors.ts'

/**
 * Flow control of a job in this process: which batches are being sent, and whether submission has stopped. All stages that
 * send batches of the job share it.
 */
export class BatchQueue {
  readonly #sending: Set<number> = new Set()
  readonly #onChange: () => void
  readonly #onStop: (reason: BatchStreamError) => void
  #stopReason: BatchStreamError | undefined
  /** Whether the run's caller reports `stopReason`; otherwise the last stage fails with it after all rows. */
  isStopHandled = false
  /** Whether the API has rejected a create of this process because its queue is full. */
  isBusy = false
  /** Whether a stage of this process polls the batches in flight. */
  isPolled = false
  /** Whether a stage of this process waits for the end of a batch. */
  isAwaited = false
  /** Whether a stage of this process fetches the results of ended batches. */
  isFetched = false
  /** Batches that an earlier process left in flight or ended, until their current state is known. */
  readonly #leftBehind: Set<number>
  readonly #searched = new Set<number>()
  readonly #retried = new Set<number>()
  readonly #undecided = new Map<number, readonly string[]>()

  /**
   * `onStop` is called once, when submission stops; `onChange` then, and whenever a waiting batch may be sent.
   * `leftBehind`: batches that an earlier process left in flight or ended.
   */
  constructor(
    onChange: () => void,
    onStop: (reason: BatchStreamError) => void,
    leftBehind: Iterable<number>,
  ) {
    this.#onChange = onChange
    this.#onStop = onStop
    this.#leftBehind = new Set(leftBehind)
  }

  get leftBehind(): ReadonlySet<number> {
    return this.#leftBehind
  }

  /** Marks a batch of an earlier process as known: it still runs, or it is not its turn to be fetched. */
  settleLeftBehind(number: number): void {
    if (this.#leftBehind.delete(number)) this.#onChange()
  }

  /** Whether a submitted batch is being searched for, since the API does not know its id. */
  isSearched(number: number): boolean {
    return this.#searched.has(number)
  }

  beginSearch(number: number): void {
    this.#searched.add(number)
    this.settleLeftBehind(number)
  }

  endSearch(number: number): void {
    this.#searched.delete(number)
    this.#onChange()
  }

  /** Whether a call about a batch has failed, or could not show its outcome yet, and waits before the next try. */
  isRetried(number: number): boolean {
    return this.#retried.has(number)
  }

  /** Marks a batch during the wait before the next try. */
  async betweenTries<T>(number: number, wait: Promise<T>): Promise<T> {
    this.#retried.add(number)
    this.#onChange()
    try {
      return await wait
    } finally {
      this.#retried.delete(number)
    }
  }

  /** Batches that this run leaves as they are: each may be one of these batches of the API, which only the user knows, or cannot be fetched. */
  get undecided(): ReadonlyMap<number, readonly string[]> {
    return this.#undecided
  }

  /** Leaves a batch as it is until the user has decided which batch of the API it is, or until a later run. Submission stops. */
  leaveUndecided(number: number, candidates: readonly string[], reason: BatchStreamError): void {
    this.#undecided.set(number, candidates)
    this.stop(reason)
    this.#onChange()
  }

  beginSending(number: number): void {
    this.#sending.add(number)
  }

  /** Called once the known outcome is journaled. */
  endSending(number: number): void {
    this.#sending.delete(number)
    this.#onChange()
  }

  isSending(number: number): boolean {
    return this.#sending.has(number)
  }

  /** Why no further batch is sent; undefined while batches are sent. The first reason wins. */
  get stopReason(): BatchStreamError | undefined {
    return this.#stopReason
  }

  /** The reason that the last stage of a pipeline must report. */
  get unreportedStop(): BatchStreamError | undefined {
    return this.isStopHandled ? undefined : this.#stopReason
  }

  /** Stops submission for good. Batches in flight are still awaited, fetched and written. */
  stop(reason: BatchStreamError): void {
    if (this.#stopReason) return
    this.#stopReason = reason
    this.#onStop(reason)
    this.#onChange()
  }
}
