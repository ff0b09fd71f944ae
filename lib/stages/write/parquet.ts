// takes: Result
// gives: bytes of a Parquet file, a row group at a time
// next: a file, or stdout
import type { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { missingPackages } from '../../core/optional-packages.ts'
import type { Result } from '../../core/results/result.ts'
import type { ParquetCell, ParquetColumn } from './parquet-columns.ts'

/** A row group is written when it has this many characters or rows. */
const GROUP_CHARACTERS = 16_000_000
const GROUP_ROWS = 100_000

export interface ParquetFileOptions {
  readonly columns: readonly ParquetColumn[]
  /** Receives the bytes of the file in order; their memory is reused when the promise resolves. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** @default 16 million characters and 100,000 rows */
  readonly groupCharacters?: number
  readonly groupRows?: number
}

/** The package that writes the format. */
export type ParquetPackage = Pick<typeof import('hyparquet-writer'), 'ByteWriter' | 'ParquetWriter'>

/**
 * Loads the package that writes Parquet.
 *
 * @throws BatchStreamError `CBS_OPTION` if it is not installed
 */
export async function loadParquetWriter(
  load: () => Promise<ParquetPackage> = () => import('hyparquet-writer'),
): Promise<ParquetPackage> {
  try {
    return await load()
  } catch (cause) {
    throw missingPackages('Parquet output', ['hyparquet-writer'], cause)
  }
}

/** Writes a Parquet file. Memory holds the cells of one row group. */
export class ParquetFile {
  readonly #options: ParquetFileOptions
  readonly #bytes: ByteWriter
  readonly #file: ParquetWriter
  #cells: ParquetCell[][]
  #rows = 0
  #characters = 0

  constructor({ ByteWriter, ParquetWriter }: ParquetPackage, options: ParquetFileOptions) {
    this.#options = options
    this.#cells = options.columns.map(() => [])
    this.#bytes = new ByteWriter()
    this.#file = new ParquetWriter({
      writer: this.#bytes,
      createdBy: 'claude-batch-stream',
      schema: [
        { name: 'root', num_children: options.columns.length },
        ...options.columns.map(schemaOf),
      ],
    })
  }

  /** Adds a row. If it returns a promise, the caller must wait for it before adding more. */
  add(result: Result): Promise<void> | undefined {
    const { columns, groupCharacters = GROUP_CHARACTERS, groupRows = GROUP_ROWS } = this.#options
    for (const [index, { cellOf }] of columns.entries()) {
      const cell = cellOf(result)
      this.#cells[index]?.push(cell)
      this.#characters += typeof cell === 'string' ? cell.length : 8
    }
    this.#rows += 1
    const isFull = this.#rows >= groupRows || this.#characters >= groupCharacters
    return isFull ? this.#writeGroup() : undefined
  }

  /** Writes the rest of the file. */
  async end(): Promise<void> {
    await this.#writeGroup()
    await this.#file.finish()
    await this.#flush()
  }

  async #writeGroup(): Promise<void> {
    if (this.#rows === 0) return
    const { columns } = this.#options
    // There is a list of cells for each column.
    const columnData = columns.map(({ name }, index) => ({
      name,
      data: this.#cells[index] as ParquetCell[],
    }))
    await this.#file.write({ columnData, rowGroupSize: this.#rows })
    this.#cells = columns.map(() => [])
    this.#rows = 0
    this.#characters = 0
    await this.#flush()
  }

  async #flush(): Promise<void> {
    await this.#options.write(this.#bytes.getBytes())
    this.#bytes.index = 0
  }
}

function schemaOf({ name, kind }: ParquetColumn): {
  name: string
  repetition_type: 'OPTIONAL'
  type: 'BYTE_ARRAY' | 'INT64' | 'DOUBLE' | 'BOOLEAN'
  converted_type?: 'UTF8'
} {
  const repetition_type = 'OPTIONAL'
  return kind === 'STRING'
    ? { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type }
    : { name, type: kind, repetition_type }
}
