import type { StoredJob } from '../../store/job.ts'
import type { BatchState } from '../../core/job/state.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import type { Result } from '../../core/results/result.ts'
import { rowsOf } from '../../store/results/rows.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { compareByRecord, firstOf } from '../../core/job/earliest.ts'

/** A batch that is being read: the rows of its current block, and the index of the next row. */
interface BatchCursor {
  readonly blocks: AsyncGenerator<Iterable<Result>>
  rows: readonly Result[]
  at: number
}

/**
 * Reads the rows of a job whose answers are on disk in input order. It merges the batches of all attempts and takes the newest
 * answer of each record. A batch is open only while the merge is within its records.
 */
export class StoredRows {
  readonly #job: StoredJob
  readonly #check: AnswerCheck | undefined
  readonly #signal: AbortSignal | undefined
  readonly #known: Set<number> = new Set()
  /** Batches that are not open yet, sorted by their first record. */
  #waiting: BatchState[] = []
  #open: BatchCursor[] = []
  /** The number of the job's result sets when its batches were last checked. */
  #fetches = 0

  constructor(job: StoredJob, check?: AnswerCheck, signal?: AbortSignal) {
    this.#job = job
    this.#check = check
    this.#signal = signal
  }

  /**
   * The first row at `from` or later; undefined if there is none. `from` never decreases. Result sets may arrive between calls.
   */
  async next(from: number): Promise<Result | undefined> {
    if (this.#fetches !== this.#job.state.fetches) this.#openNew(from)
    const passed: BatchCursor[] = []
    for (const reading of this.#open)
      if (!(skipInBlock(reading, from) || (await loadBlocks(reading, from)))) passed.push(reading)
    if (passed.length > 0) this.#open = this.#open.filter(reading => !passed.includes(reading))
    for (;;) {
      const found = earliestRow(this.#open)
      const batch = this.#waiting[0]
      if (!batch || (found && firstOf(batch) > ordinalOf(found))) return found
      this.#waiting.shift()
      const ids = await BatchIds.of(this.#job, batch.number)
      const blocks = rowsOf(this.#job.endedBatch(batch.number), ids, this.#check, this.#signal)
      const reading: BatchCursor = { blocks, rows: [], at: 0 }
      this.#open.push(reading)
      if (!(await loadBlocks(reading, from))) this.#open.pop()
    }
  }

  async close(): Promise<void> {
    for (const { blocks } of this.#open) await blocks.return(undefined)
  }

  #openNew(from: number): void {
    const { fetches, batches } = this.#job.state
    this.#fetches = fetches
    for (const batch of batches.values()) {
      if (!batch.fetched || this.#known.has(batch.number)) continue
      this.#known.add(batch.number)
      // Only batches of a first attempt know where their records end.
      if (batch.attempt > 1 || batch.next > from) this.#waiting.push(batch)
    }
    this.#waiting.sort(compareByRecord)
  }
}

/** The rows of a job whose answers are on disk, in input order. */
export async function* rowsInInputOrder(
  job: StoredJob,
  check?: AnswerCheck,
): AsyncGenerator<Result> {
  const kept = new StoredRows(job, check)
  try {
    let row = await kept.next(0)
    while (row) {
      yield row
      row = await kept.next(ordinalOf(row) + 1)
    }
  } finally {
    await kept.close()
  }
}

/** Skips to the first row at `from` or later in the current block; false if there is none. */
function skipInBlock(reading: BatchCursor, from: number): boolean {
  for (; reading.at < reading.rows.length; reading.at++)
    if (ordinalOf(headOf(reading)) >= from) return true
  return false
}

/** The same in the following blocks. */
async function loadBlocks(reading: BatchCursor, from: number): Promise<boolean> {
  // Not `for await`, which would close the generator on return.
  for (;;) {
    const { done, value } = await reading.blocks.next()
    if (done) return false
    reading.rows = [...value]
    reading.at = 0
    if (skipInBlock(reading, from)) return true
  }
}

/** The earliest row; of several answers to its record, the newest. */
function earliestRow(open: readonly BatchCursor[]): Result | undefined {
  let found: Result | undefined
  for (const reading of open) {
    const row = headOf(reading)
    const by = found
      ? ordinalOf(row) - ordinalOf(found) || found.batch.attempt - row.batch.attempt
      : -1
    if (by < 0) found = row
  }
  return found
}

function headOf({ rows, at }: BatchCursor): Result {
  // A batch is open only while it has a row.
  return rows[at] as Result
}

function ordinalOf({ record }: Result): number {
  // A job on disk has only batches of its own, whose records are spooled.
  return record?.ordinal as number
}
