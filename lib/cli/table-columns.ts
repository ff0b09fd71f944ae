import { nextUnbatched } from '../core/job/state.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import { fieldsOf } from '../store/fields.ts'
import type { StoredJob } from '../store/job.ts'
import { members } from '../core/json/scan.ts'
import { didYouMean } from '../core/nearest.ts'
import { FILE_FIELDS } from '../stages/parse/files.ts'
import type { InputState } from './input.ts'
import type { RowOptions } from './row-options.ts'
import type { InputSettings } from './input-settings.ts'

/** The columns of a table whose records have no readable field. */
export const NO_COLUMNS: readonly string[] = ['input']

export interface TableColumnsOptions {
  readonly job: StoredJob
  /** Columns known before the records are read, such as those of a CSV header. */
  readonly known?: readonly string[] | undefined
  /** Whether the input may be endless: then the first full batch decides the columns. */
  readonly endless: boolean
  /** Whether this run reads input; otherwise the job's records decide. */
  readonly isRead?: boolean
}

/**
 * Decides the input columns of a table: the fields of all records. Rows therefore wait until the input is spooled, or for
 * endless input until the first batch is full. The decision is journaled before the first row is written.
 */
export class TableColumns {
  readonly #options: TableColumnsOptions
  readonly #noMoreRows = new AbortController()
  /** Records that may be sent without a check, because the decision covers them. */
  #passed: number
  #deciding: Promise<readonly string[]> | undefined

  constructor(options: TableColumnsOptions) {
    this.#options = options
    this.#passed = nextUnbatched(options.job.state)
  }

  /** The columns, once decided. */
  get names(): readonly string[] | undefined {
    return this.#options.known ?? this.#options.job.state.columns ?? undefined
  }

  /** Pending while the columns are being decided. */
  get deciding(): Promise<unknown> | undefined {
    return this.names ? undefined : this.#deciding
  }

  /** Records that a record was passed on before the columns were decided. */
  pass(ordinal: number): void {
    this.#passed = Math.max(this.#passed, ordinal + 1)
  }

  /** Waits until the columns can be decided. Rejects when the signal aborts. */
  async decide(signal: AbortSignal): Promise<readonly string[]> {
    const { job } = this.#options
    if (this.names) return this.names
    const either = AbortSignal.any([signal, this.#noMoreRows.signal])
    await job
      .when(() => this.#isTime(), either)
      .catch((cause: unknown) => {
        if (signal.aborted) throw cause
      })
    return await (this.#deciding ??= this.#fix())
  }

  /** Ends the wait for more rows: the available records decide. */
  end(): void {
    this.#noMoreRows.abort()
  }

  #isTime(): boolean {
    const { job, endless, isRead = true } = this.#options
    if (job.state.spooled.complete || !isRead) return true
    // A batch that fills the cache has a single record.
    return endless && [...job.state.batches.values()].some(batch => !batch.primes)
  }

  async #fix(): Promise<readonly string[]> {
    const { job, endless, isRead = true } = this.#options
    const isWhole = job.state.spooled.complete || !endless || !isRead
    const fields = await fieldsOf(job, [], isWhole ? job.store.records.count : this.#passed)
    const names = fields.length > 0 ? fields : NO_COLUMNS
    await job.note({ type: 'columns', names }, true)
    return names
  }
}

/** The input columns, if they are known from the start: formats other than JSON have the same in each record. */
export function columnsIn(
  { from }: Pick<InputSettings, 'from'>,
  { format, files, columns }: Pick<InputState, 'format' | 'files' | 'columns'>,
  first: readonly SourceRecord[],
): readonly string[] | undefined {
  if (from === 'files') return FILE_FIELDS
  if (columns && files === 1) return columns
  const isUniform = ['csv', 'tsv', 'text', 'parquet'].includes(format ?? from)
  const readable = first.find(record => !record.problem)
  if (!isUniform || files !== 1 || !readable) return undefined
  return [...members(readable.raw)].map(({ key }) => key)
}

/** Rejects an unknown column, which is a typo, before anything is sent. */
export function mustHaveColumns(
  { outputColumns = [] }: Pick<RowOptions, 'outputColumns'>,
  known: readonly string[] = outputColumns,
): void {
  const unknown = outputColumns.find(name => !known.includes(name))
  if (unknown === undefined) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `--output-columns: the input has no column ${JSON.stringify(unknown)}${didYouMean(unknown, known)}`,
  )
}
