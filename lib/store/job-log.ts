import { BatchStreamError, messageOf } from '../core/errors.ts'
import type { JobEvent } from '../core/job/event.ts'
import type { RunEvent } from '../core/job/run-event.ts'
import { commit, step, type BatchState, type Change, type JobState } from '../core/job/state.ts'
import { notify } from '../core/notify.ts'
import type { Journal } from './journal.ts'

type Listener = (event: RunEvent) => unknown

/** The event log of a job: its journal, the state that follows from the events, and the listeners. */
export class JobLog {
  readonly name: string
  readonly #journal: Journal
  readonly #waiting: Set<() => void> = new Set()
  #listeners: readonly Listener[] = []
  #state: JobState
  /** The last append: each event is checked against the state that the previous one left. */
  #noting: Promise<void> = Promise.resolve()

  constructor(name: string, journal: Journal, state: JobState) {
    this.name = name
    this.#journal = journal
    this.#state = state
  }

  get state(): JobState {
    return this.#state
  }

  batch(number: number): BatchState {
    const batch = this.#state.batches.get(number)
    if (!batch) throw new BatchStreamError('CBS_STAGE', `job ${this.name} has no batch ${number}`)
    return batch
  }

  /**
   * Appends an event to the journal and applies it to the state; with `durable`, resolves when it survives a power failure.
   * An event that the state does not allow is rejected before it is written. Events keep their order.
   */
  note(event: JobEvent, durable: boolean): Promise<void> {
    const note = async (): Promise<void> => {
      const change = this.#changeBy(event)
      await this.#journal.append(event, durable)
      this.#state = commit(change)
      this.emit(event)
      this.checkWaiters()
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

  /** Calls `listener` for each later event. */
  on(_type: 'event', listener: Listener): this {
    this.#listeners = [...this.#listeners, listener]
    return this
  }

  /** Removes a listener. If it was added twice, it is called once from now on. */
  off(_type: 'event', listener: Listener): this {
    const at = this.#listeners.lastIndexOf(listener)
    if (at !== -1) this.#listeners = this.#listeners.toSpliced(at, 1)
    return this
  }

  /** Passes a transient event to the listeners. */
  emit(event: RunEvent): void {
    for (const listener of this.#listeners) notify('job.on', listener, event)
  }

  /** Resolves as soon as `condition` holds; it is checked after each event. Rejects when the signal aborts. */
  when(condition: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(check)
        signal.removeEventListener('abort', stop)
      }
      const check = (): void => {
        try {
          if (!condition()) return
          resolve()
        } catch (cause) {
          // The caller that appended the event must not fail because of it.
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
      this.#waiting.add(check)
      check()
    })
  }

  /** Rechecks the conditions that `when` waits for; called when one may hold without an event. */
  protected checkWaiters(): void {
    for (const check of [...this.#waiting]) check()
  }
}
