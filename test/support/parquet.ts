import { writeFileSync } from 'node:fs'
import {
  ByteWriter,
  parquetWrite,
  type ColumnSource,
  type ParquetWriteOptions,
  type SchemaElement,
} from 'hyparquet-writer'

/** A column of a file: what its schema says, in the order of the file, and a value for each row. */
export interface Column {
  readonly schema: readonly SchemaElement[]
  readonly data: ColumnSource['data']
}

/** A column without children. Types are as the format has them. */
export function column(
  name: string,
  data: ColumnSource['data'],
  type: NonNullable<SchemaElement['type']>,
  more: Partial<SchemaElement> = {},
): Column {
  return { schema: [{ name, type, repetition_type: 'OPTIONAL', ...more }], data }
}

export function text(name: string, data: ColumnSource['data']): Column {
  return column(name, data, 'BYTE_ARRAY', { converted_type: 'UTF8' })
}

export function bytesOf(
  columns: readonly Column[],
  more: Partial<ParquetWriteOptions> = {},
): Buffer {
  const writer = new ByteWriter()
  parquetWrite({
    writer,
    schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap(one => one.schema)],
    columnData: columns.map(({ schema, data }) => ({ name: String(schema[0]?.name), data })),
    ...more,
  })
  return Buffer.from(writer.getBytes())
}

/** Writes a file and gives its path. */
export function parquetFile(
  path: string,
  columns: readonly Column[],
  more?: Partial<ParquetWriteOptions>,
): string {
  writeFileSync(path, bytesOf(columns, more))
  return path
}
