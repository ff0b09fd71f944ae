import type { StoredJob } from '../../store/job.ts'
import type { BatchState } from '../../core/job/state.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import type { Result } from '../../core/results/result.ts'
import { rowsOf } from '../../store/results/rows.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { compareByRecord, firstOf } from '../../core/job/earliest.ts'

/** A batch that is being read: the rows of one block, and where in it the next row is. */
interface BatchCursor {
  readonly blocks: AsyncGenerator<Iterable<Result>>
  rows: readonly Result[]
  at: number
}

/**
 * The rows of a job whose answers are on disk, read in input order: the batches of all attempts are merged, and of several
 * answers to a record the newest is taken. A batch is open only while the merge is among its records.
 */
export class KeptRows {
  readonly #job: StoredJob
  readonly #check: AnswerCheck | undefined
  readonly #seen: Set<number> = new Set()
  /** Batches that are not open yet, by their first record. */
  #waiting: BatchState[] = []
  #open: BatchCursor[] = []
  /** How many result sets the job had when its batches were last looked at. */
  #fetches = 0

  constructor(job: StoredJob, check?: AnswerCheck) {
    this.#job = job
    this.#check = check
  }

  /**
   * The first row at `from` or after it; undefined where there is none. `from` never decreases. The result sets of batches may
   * arrive between two calls.
   */
  async next(from: number): Promise<Result | undefined> {
    if (this.#fetches !== this.#job.state.fetches) this.#look(from)
    const passed: BatchCursor[] = []
    for (const reading of this.#open)
      if (!(skip(reading, from) || (await load(reading, from)))) passed.push(reading)
    if (passed.length > 0) this.#open = this.#open.filter(reading => !passed.includes(reading))
    for (;;) {
      const found = first(this.#open)
      const batch = this.#waiting[0]
      if (!batch || (found && firstOf(batch) > ordinalOf(found))) return found
      this.#waiting.shift()
      const ids = await BatchIds.of(this.#job, batch.number)
      const blocks = rowsOf(this.#job.endedBatch(batch.number), ids, this.#check)
      const reading: BatchCursor = { blocks, rows: [], at: 0 }
      this.#open.push(reading)
      if (!(await load(reading, from))) this.#open.pop()
    }
  }

  async close(): Promise<void> {
    for (const { blocks } of this.#open) await blocks.return(undefined)
  }

  #look(from: number): void {
    const { fetches, batches } = this.#job.state
    this.#fetches = fetches
    for (const batch of batches.values()) {
      if (!batch.fetched || this.#seen.has(batch.number)) continue
      this.#seen.add(batch.number)
      // Only a first attempt says where its records end.
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
  const kept = new KeptRows(job, check)
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

/** Goes to the first row at `from` or after it, in the block that is here; false where the block ends before it. */
function skip(reading: BatchCursor, from: number): boolean {
  for (; reading.at < reading.rows.length; reading.at++)
    if (ordinalOf(headOf(reading)) >= from) return true
  return false
}

/** The same in the blocks that follow. */
async function load(reading: BatchCursor, from: number): Promise<boolean> {
  // Not by `for await`, which closes what it leaves.
  for (;;) {
    const { done, value } = await reading.blocks.next()
    if (done) return false
    reading.rows = [...value]
    reading.at = 0
    if (skip(reading, from)) return true
  }
}

/** The earliest row, of several answers to one record the newest. */
function first(open: readonly BatchCursor[]): Result | undefined {
  let found: Result | undefined
  for (const reading of open) {
    const row = headOf(reading)
    const by = found ? ordinalOf(row) - ordinalOf(found) || found.attempt - row.attempt : -1
    if (by < 0) found = row
  }
  return found
}

function headOf({ rows, at }: BatchCursor): Result {
  // A batch is open only while it has a row.
  return rows[at] as Result
}

function ordinalOf({ record }: Result): number {
  // A job on disk has only batches of its own, and these have kept records.
  return record?.ordinal as number
}
