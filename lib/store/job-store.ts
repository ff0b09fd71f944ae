import { BatchWriter, batchPath, type BatchFile } from './batch-files.ts'
import type { Disk } from './disk.ts'
import type { Records } from './records.ts'
import type { BatchFiles } from './sums.ts'

export interface JobStoreParts {
  readonly folder: string
  readonly disk: Disk
  readonly records: Records
  /** Deleted when the last stage lets go of its job. */
  readonly temporary: boolean
  /** The highest number that a batch has so far; 0 for none. */
  readonly lastNumber: number
}

/** The files of a job: its records, and per batch its requests until they are accepted and its results as they came. */
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

  /** Where a file of a batch lies. */
  path(number: number, what: BatchFile): string {
    return batchPath(this.folder, number, what)
  }

  /** Starts the files of a new batch; with `dedupe` also those that tell repeats. */
  async newBatch(dedupe = false): Promise<BatchWriter> {
    this.#lastNumber += 1
    return await BatchWriter.create(this.disk, this.folder, this.#lastNumber, dedupe)
  }

  /** Returns when the names of all batch files survive a power cut. */
  async syncBatches(): Promise<void> {
    await this.disk.syncFolder(`${this.folder}/batches`)
  }
}
