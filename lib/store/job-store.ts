import { batchPath, type BatchFile } from './batch-path.ts'
import { BatchWriter, type ExtraFiles } from './batch-files.ts'
import type { Disk } from './disk.ts'
import type { Records } from './records.ts'
import type { BatchFiles } from './sums.ts'

export interface JobStoreParts {
  readonly folder: string
  readonly disk: Disk
  readonly records: Records
  /** Whether it is deleted when the last stage releases the job. */
  readonly temporary: boolean
  /** The highest batch number so far; 0 if none. */
  readonly lastNumber: number
}

/** The files of a job: its records, and for each batch its requests until they are accepted and its results as received. */
export class JobStore implements BatchFiles {
  readonly folder: string
  readonly disk: Disk
  readonly records: Records
  readonly temporary: boolean
  #lastNumber: number

  constructor(parts: JobStoreParts) {
    this.folder = parts.folder
    this.disk = parts.disk
    this.records = parts.records
    this.temporary = parts.temporary
    this.#lastNumber = parts.lastNumber
  }

  /** The path of a batch's file. */
  path(number: number, what: BatchFile): string {
    return batchPath(this.folder, number, what)
  }

  /** Starts the files of a new batch. */
  async newBatch(extra: ExtraFiles = {}): Promise<BatchWriter> {
    this.#lastNumber += 1
    return await BatchWriter.create(this.disk, this.folder, this.#lastNumber, extra)
  }

  /** Resolves when the names of all batch files survive a power failure. */
  async syncBatches(): Promise<void> {
    await this.disk.syncFolder(`${this.folder}/batches`)
  }
}
