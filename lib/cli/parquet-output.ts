// The end of a pipeline whose rows go to a Parquet file. Such a file cannot be continued after a crash, so that it is written to
// a temporary file that gets its name when it is whole.
import { createHash } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import type { SourceRecord } from '../core/flow.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { JsonSchema } from '../core/schema/load.ts'
import type { Result } from '../core/results/result.ts'
import { rowsInInputOrder } from '../stages/order/stored-rows.ts'
import { layOutColumns } from '../stages/write/columns.ts'
import { propertiesOf } from '../stages/write/csv.ts'
import { checkNewOutput, existingOutputError } from '../stages/write/output.ts'
import { FieldKinds, parquetColumns } from '../stages/write/parquet-columns.ts'
import { loadParquetWriter, ParquetFile, type ParquetPackage } from '../stages/write/parquet.ts'
import { fieldNames } from '../stages/write/row-fields.ts'
import {
  createOutput,
  NOTHING_COMMITTED,
  tailOf,
  type Committed,
  type ResultTarget,
  type Target,
} from '../stages/write/target.ts'
import { replaceFile, type DiskFile } from '../store/disk.ts'
import type { StoredJob } from '../store/job.ts'
import type { RowOptions } from './row-options.ts'
import type { TableColumns } from './table-columns.ts'
import type { Talk } from './talk.ts'

export interface ParquetOutput {
  readonly job: StoredJob
  readonly options: RowOptions
  readonly columns: readonly string[] | TableColumns
  readonly schema: JsonSchema | undefined
  readonly detached: boolean
  readonly records: AsyncIterable<SourceRecord> | undefined
  readonly signal: AbortSignal
}

/**
 * Where the rows of a Parquet file go. A job's own file is written from the stored results when the last row is there; rows that
 * are printed again are written as they come.
 *
 * @throws BatchStreamError `CBS_OPTION` where the package is not installed, `CBS_OUTPUT` where the file exists and is not the job's
 */
export async function parquetOutput(
  output: ParquetOutput,
  stream: Target | undefined,
  talk: Talk,
): Promise<ResultTarget> {
  const parquet = await loadParquetWriter()
  const sink = stream ? new StreamSink(stream) : new FileSink(output)
  await sink.check()
  const rows = new ParquetTarget(parquet, output, sink)
  return output.detached ? rows : new LateTarget(rows, output, talk)
}

/** Takes the bytes of a file, and gives it its name at the end. */
interface ByteSink {
  /** Whether the file may be made. */
  check(): Promise<void>
  write(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
  /** Closes the writer; without a preceding `end` it leaves no file. */
  close(): Promise<void>
}

class StreamSink implements ByteSink {
  readonly #stream: Target

  constructor(stream: Target) {
    this.#stream = stream
  }

  async check(): Promise<void> {}

  async write(bytes: Uint8Array): Promise<void> {
    await this.#stream.write(Buffer.from(bytes))
  }

  async end(): Promise<void> {
    await this.#stream.commit()
  }

  async close(): Promise<void> {
    await this.#stream.close()
  }
}

/** What a job has written, so that it is known again. */
const NOTE = 'parquet.json'

interface WrittenFile {
  readonly path: string
  /** What the file may contain: what it had before, and what it gets, since a crash may come in between. */
  readonly contents: readonly Content[]
}

interface Content {
  readonly bytes: number
  /** SHA-256 of its last bytes, in hex: where a Parquet file describes all others. */
  readonly tail: string
}

/** The Parquet file of a job; undefined if it has written none. */
export async function writtenBy({ store }: StoredJob): Promise<WrittenFile | undefined> {
  const note = await store.disk.readWhole(join(store.folder, NOTE))
  // Only this module writes it.
  return note && JSON.parse(note.toString('utf8'))
}

/** What a file has that was just made. */
const EMPTY: Content = { bytes: 0, tail: createHash('sha256').digest('hex') }

class FileSink implements ByteSink {
  readonly #output: Pick<ParquetOutput, 'job' | 'options' | 'detached'>
  readonly #temporary: string
  #file: DiskFile | undefined
  #bytes = 0
  /** Whether the temporary file is there. */
  #isPartial = false
  /** What the file had that is replaced. */
  #before: Content | undefined

  constructor(output: Pick<ParquetOutput, 'job' | 'options' | 'detached'>) {
    this.#output = output
    const { options, job } = output
    const name = `.${basename(options.output).slice(0, 100)}.${basename(job.name)}.part`
    this.#temporary = join(dirname(options.output), name)
  }

  async check(): Promise<void> {
    const { job, options, detached } = this.#output
    const { disk } = job.store
    const path = options.output
    const found = await disk.stat(path)
    if (detached || typeof found !== 'number') return await checkNewOutput(disk, path, 'output')
    const written = await writtenBy(job)
    const { bytes, tail } = await this.#contentOf(path)
    const isOurs = written?.contents.some(one => one.bytes === bytes && one.tail === tail)
    if (written?.path !== path || !isOurs) throw existingOutputError(path)
    this.#before = { bytes, tail }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { disk } = this.#output.job.store
    if (!this.#file) {
      // A crash may have left one.
      await disk.remove(this.#temporary)
      this.#file = await disk.open(this.#temporary, 'newOutput')
      this.#isPartial = true
    }
    await this.#file.write(bytes, this.#bytes)
    this.#bytes += bytes.length
  }

  async end(): Promise<void> {
    const { job, options, detached } = this.#output
    const { disk, folder } = job.store
    await this.#file?.sync()
    await this.#file?.close()
    this.#file = undefined
    await this.check()
    const path = options.output
    if (!detached) {
      const contents = [await this.#contentOf(this.#temporary), this.#before ?? EMPTY]
      const written: WrittenFile = { path, contents }
      await replaceFile(disk, join(folder, NOTE), Buffer.from(`${JSON.stringify(written)}\n`))
    }
    // `rename` would replace a file that another program has just made.
    if (!this.#before) await (await createOutput({ disk, path, option: 'output' })).close()
    await disk.rename(this.#temporary, path)
    this.#isPartial = false
    await disk.syncFolder(dirname(path))
  }

  async close(): Promise<void> {
    await this.#file?.close()
    if (this.#isPartial) await this.#output.job.store.disk.remove(this.#temporary)
  }

  async #contentOf(path: string): Promise<Content> {
    const file = await this.#output.job.store.disk.open(path, 'output')
    try {
      const bytes = await file.size()
      return { bytes, tail: await tailOf(file, bytes) }
    } finally {
      await file.close()
    }
  }
}

/** Rows to a sink, in the order in which they come. */
class ParquetTarget implements ResultTarget {
  readonly #parquet: ParquetPackage
  readonly #output: ParquetOutput
  readonly #sink: ByteSink
  #rows: ParquetFile | undefined

  constructor(parquet: ParquetPackage, output: ParquetOutput, sink: ByteSink) {
    this.#parquet = parquet
    this.#output = output
    this.#sink = sink
  }

  put(result: Result): Promise<void> | undefined {
    if (this.#rows) return this.#rows.add(result)
    return this.#begin().then(rows => rows.add(result))
  }

  async commit(): Promise<Committed> {
    return NOTHING_COMMITTED
  }

  async end(): Promise<void> {
    await (this.#rows ?? (await this.#begin())).end()
    await this.#sink.end()
  }

  async close(): Promise<void> {
    await this.#sink.close()
  }

  /** The types of the columns come from all records. */
  async #begin(): Promise<ParquetFile> {
    const { job, options, columns, schema, records, signal } = this.#output
    const kinds = new FieldKinds()
    if (!records) await job.store.records.flush()
    for await (const record of records ?? job.input.recordsFrom(0)) kinds.add(record)
    const names =
      options.outputColumns ?? ('decide' in columns ? await columns.decide(signal) : columns)
    const table = layOutColumns(names, fieldNames(options), propertiesOf(schema))
    return (this.#rows = new ParquetFile(this.#parquet, {
      columns: parquetColumns(table, kinds, schema),
      write: bytes => this.#sink.write(bytes),
    }))
  }
}

/** Lets the rows of a run pass, and writes the file from the stored results once the job has one for each record. */
class LateTarget implements ResultTarget {
  readonly #rows: ParquetTarget
  readonly #output: ParquetOutput
  readonly #talk: Talk

  constructor(rows: ParquetTarget, output: ParquetOutput, talk: Talk) {
    this.#rows = rows
    this.#output = output
    this.#talk = talk
  }

  put(): undefined {
    return undefined
  }

  async commit(): Promise<Committed> {
    return NOTHING_COMMITTED
  }

  async end(): Promise<void> {
    const { job, options, schema } = this.#output
    if (!job.state.spooled.complete || job.queue.stopReason !== undefined) {
      this.#talk.info(
        `the Parquet file is written when the job is finished; \`claude-batch-stream results ${job.name} -o FILE\` prints the rows that are here`,
      )
      return
    }
    const check = schema && answerCheck(schema)
    for await (const result of rowsInInputOrder(job, check)) {
      // Failed rows may be in a file of their own.
      const isRow = options.errors === undefined || result.status === 'succeeded'
      if (isRow) await this.#rows.put(result)
    }
    await this.#rows.end()
  }

  async close(): Promise<void> {
    await this.#rows.close()
  }
}

/** The bytes of a file without rows. */
export async function emptyParquet(
  options: RowOptions,
  names: readonly string[],
  schema: JsonSchema | undefined,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  const table = layOutColumns(names, fieldNames(options), propertiesOf(schema))
  const rows = new ParquetFile(await loadParquetWriter(), {
    columns: parquetColumns(table, new FieldKinds(), schema),
    write: async bytes => void chunks.push(Buffer.from(bytes)),
  })
  await rows.end()
  return Buffer.concat(chunks)
}
