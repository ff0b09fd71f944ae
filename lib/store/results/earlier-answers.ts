import { BatchStreamError } from '../../core/errors.ts'
import type { EndedBatch } from '../../core/flow.ts'
import type { BatchState } from '../../core/job/state.ts'
import { KEY_BYTES } from '../../core/request-key.ts'
import { Result } from '../../core/results/result.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { batchPath } from '../batch-path.ts'
import type { Disk } from '../disk.ts'
import type { SoundJob } from '../inspect.ts'
import { Reused, ReusedAnswers, type EarlierAnswer } from '../reused.ts'
import { readSummed, type BatchFiles } from '../sums.ts'
import { AnswerIndex, type KeyBlock } from './answer-index.ts'
import { ResultLines } from './lines.ts'

/** How many batches have open files at a time. */
const OPEN = 8

/** A position at most this far behind the last one counts as sequential. */
const NEAR = 64

export interface EarlierAnswersOptions {
  readonly disk: Disk
  /** The path of the index, which is deleted at the end. */
  readonly path: string
  /** The jobs, newest first. */
  readonly jobs: readonly SoundJob[]
  /** Which answers may be reused: those of the same API origin and betas. */
  readonly answeredBy: string
  readonly check?: AnswerCheck | undefined
  /** Called for a batch whose answers cannot be read. Their requests are sent, unless it throws. */
  readonly onDamage?: ((job: string, why: string) => Promise<void>) | undefined
}

/** The answers to one batch, or those that it reused. */
interface AnswerSet {
  readonly job: string
  readonly files: BatchFiles
  readonly batch: BatchState
  readonly isReused: boolean
  /** The number of its first answer, counted over all sets. */
  readonly start: number
  readonly count: number
}

/** An answer set whose files are open. */
interface OpenSet {
  /** Undefined if the line must be read first; null if the request has no answer. */
  tryReadSync(position: number): EarlierAnswer | null | undefined
  read(position: number): Promise<EarlierAnswer | null>
  close(): Promise<void>
}

/**
 * Finds the usable answers of earlier jobs by the keys of requests. An answer is usable if it is complete and, with a schema,
 * valid. The newest wins.
 */
export class EarlierAnswers {
  readonly #options: EarlierAnswersOptions
  readonly #sets: readonly AnswerSet[]
  readonly #index: AnswerIndex
  /** Least recently used first. */
  readonly #open = new Map<AnswerSet, OpenSet>()
  readonly #damaged = new Set<AnswerSet>()

  private constructor(
    options: EarlierAnswersOptions,
    sets: readonly AnswerSet[],
    index: AnswerIndex,
    damaged: ReadonlySet<AnswerSet>,
  ) {
    this.#options = options
    this.#sets = sets
    this.#index = index
    this.#damaged = new Set(damaged)
  }

  static async open(options: EarlierAnswersOptions): Promise<EarlierAnswers> {
    const sets = setsOf(options)
    const damaged = new Set<AnswerSet>()
    const keys = async function* (): AsyncGenerator<KeyBlock> {
      for (const set of sets) {
        try {
          yield* keysOf(set)
        } catch (cause) {
          const { message } = damageIn(cause)
          damaged.add(set)
          await options.onDamage?.(set.job, message)
        }
      }
    }
    const total = sets.reduce((sum, { count }) => sum + count, 0)
    const index = await AnswerIndex.create(options.disk, options.path, total, keys)
    return new EarlierAnswers(options, sets, index, damaged)
  }

  /** The number of answers in the index, usable or not. */
  get count(): number {
    return this.#index.count
  }

  /** The answer to a request; null if there is none, undefined if it must be read from disk first. */
  tryReadSync(key: Buffer): EarlierAnswer | null | undefined {
    const numbers = this.#index.tryReadSync(key)
    if (!numbers) return undefined
    for (const number of numbers) {
      const set = this.#setOf(number)
      if (this.#damaged.has(set)) continue
      const answer = this.#tryReadIn(set, number - set.start)
      if (answer === undefined) return undefined
      if (answer && this.#isUsable(answer)) return answer
    }
    return null
  }

  /** The answer to a request, read from disk if necessary; null if there is none. */
  async read(key: Buffer): Promise<EarlierAnswer | null> {
    for (const number of this.#index.tryReadSync(key) ?? (await this.#index.read(key))) {
      const set = this.#setOf(number)
      if (this.#damaged.has(set)) continue
      try {
        const answer = await this.#readIn(set, number - set.start)
        if (answer && this.#isUsable(answer)) return answer
      } catch (cause) {
        const { message } = damageIn(cause)
        this.#damaged.add(set)
        await this.#options.onDamage?.(set.job, message)
      }
    }
    return null
  }

  async close(): Promise<void> {
    for (const opened of this.#open.values()) await opened.close()
    this.#open.clear()
    await this.#index.close()
  }

  async #readIn(set: AnswerSet, position: number): Promise<EarlierAnswer | null> {
    try {
      return await (await this.#opened(set)).read(position)
    } catch (cause) {
      damageIn(cause)
      // A retry of that job may just have replaced the files.
      await this.#open.get(set)?.close()
      this.#open.delete(set)
      return await (await this.#opened(set)).read(position)
    }
  }

  #tryReadIn(set: AnswerSet, position: number): EarlierAnswer | null | undefined {
    try {
      return this.#open.get(set)?.tryReadSync(position)
    } catch (cause) {
      damageIn(cause)
      return undefined
    }
  }

  #isUsable({ raw }: EarlierAnswer): boolean {
    const { check } = this.#options
    // Only the line of this result is read.
    const batch = {} as EndedBatch
    const result = new Result({ batch, customId: null, record: undefined, raw, last: false, check })
    return result.status === 'succeeded'
  }

  #setOf(number: number): AnswerSet {
    let low = 0
    let high = this.#sets.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      // In range by the loop's condition.
      if ((this.#sets[middle] as AnswerSet).start <= number) low = middle
      else high = middle - 1
    }
    // Every numbered answer is in a set.
    return this.#sets[low] as AnswerSet
  }

  async #opened(set: AnswerSet): Promise<OpenSet> {
    const opened = this.#open.get(set) ?? (await openSet(set))
    this.#open.delete(set)
    this.#open.set(set, opened)
    for (const [oldest, other] of this.#open) {
      if (this.#open.size <= OPEN) break
      this.#open.delete(oldest)
      await other.close()
    }
    return opened
  }
}

/** Whether a job has stored the keys of its requests. */
export function hasKeys({ state }: SoundJob): boolean {
  return [...state.batches.values()].some(
    ({ phase, answeredBy, sums, reused }) =>
      phase !== 'void' &&
      (reused !== undefined || (answeredBy !== undefined && sums?.keys !== undefined)),
  )
}

/** The answer sets of all jobs, newest first: within a job, a later attempt is newer. */
function setsOf({ disk, jobs, answeredBy }: EarlierAnswersOptions): AnswerSet[] {
  const sets: AnswerSet[] = []
  let start = 0
  for (const { name: job, folder, state } of jobs) {
    const files: BatchFiles = { disk, path: (number, what) => batchPath(folder, number, what) }
    const batches = [...state.batches.values()].filter(({ phase }) => phase !== 'void')
    batches.sort((a, b) => b.attempt - a.attempt || b.number - a.number)
    const add = (batch: BatchState, isReused: boolean, count: number): void => {
      sets.push({ job, files, batch, isReused, start, count })
      start += count
    }
    for (const batch of batches) {
      const { fetched, sums, requests, reused } = batch
      const isAnswered = fetched !== null && fetched.lines > 0 && batch.answeredBy === answeredBy
      if (isAnswered && sums?.keys !== undefined) add(batch, false, requests)
      if (reused?.answeredBy === answeredBy) add(batch, true, reused.records)
    }
  }
  return sets
}

async function* keysOf(set: AnswerSet): AsyncGenerator<KeyBlock> {
  const { files, batch, isReused, start: number, count } = set
  if (isReused) yield { ...(await Reused.of(files, batch)).keys, count, number }
  const bytes = isReused ? undefined : await readSummed(files, batch, 'keys')
  if (bytes) yield { bytes, stride: KEY_BYTES, count, number }
}

async function openSet({ job, files, batch, isReused }: AnswerSet): Promise<OpenSet> {
  const { number, requests, id } = batch
  if (isReused) {
    const answers = await ReusedAnswers.open(files, number, await Reused.of(files, batch))
    return answers
  }
  const lines = await ResultLines.open(files, number, requests)
  let last = -1
  const answer = (raw: Buffer): EarlierAnswer => ({ job, batchId: id, raw })
  return {
    tryReadSync: position => {
      const raw = lines.tryReadSync(position)
      if (raw) last = position
      return raw && answer(raw)
    },
    read: async position => {
      // If requests come in the same order as before, many lines are read at a time.
      const isNext = position > last && position - last <= NEAR
      last = position
      const raw = await (isNext ? lines.readOn(position) : lines.read(position))
      return raw && answer(raw)
    },
    close: () => lines.close(),
  }
}

/** The error of a damaged job; any other error is thrown. */
function damageIn(cause: unknown): BatchStreamError {
  // A disk that fails may work the next time, and asking again would be paid for.
  if (!(cause instanceof BatchStreamError && cause.code === 'CBS_STATE')) throw cause
  return cause
}
