import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import { members } from '../core/json/scan.ts'
import type { StoredJob } from './job.ts'

/** A table has at most this many input columns. */
export const MAX_FIELDS = 1000

/** Field names of a table take at most this many bytes as JSON, because the journal stores them in one line. */
const MAX_NAME_BYTES = 400_000

/** Names of fields, in the order in which they first appear. */
export class FieldSet {
  readonly #names: Set<string>
  #bytes = 0

  constructor(names: Iterable<string> = []) {
    this.#names = new Set(names)
  }

  get names(): readonly string[] {
    return [...this.#names]
  }

  /**
   * Adds the fields of a record. An unreadable record has none of its own.
   *
   * @throws BatchStreamError `CBS_OUTPUT` for more fields than a table can have
   */
  add(record: SourceRecord): void {
    if (record.problem) return
    for (const { key } of members(record.raw)) if (!this.#names.has(key)) this.#addName(key)
  }

  #addName(name: string): void {
    this.#names.add(name)
    this.#bytes += Buffer.byteLength(JSON.stringify(name))
    if (this.#names.size <= MAX_FIELDS && this.#bytes <= MAX_NAME_BYTES) return
    const many =
      this.#names.size > MAX_FIELDS
        ? `more than ${MAX_FIELDS} different fields`
        : `field names of more than ${MAX_NAME_BYTES} bytes in all`
    throw new BatchStreamError(
      'CBS_OUTPUT',
      `the records have ${many}, too many for a table: choose columns with --output-columns A,B, or write JSON lines (--to jsonl)`,
    )
  }
}

/**
 * The fields of a job's records, read from disk: those of the first `count` records, by default of all.
 *
 * @throws BatchStreamError `CBS_OUTPUT` for more fields than a table can have
 */
export async function fieldsOf(
  job: StoredJob,
  first: Iterable<string> = [],
  count: number = job.store.records.count,
): Promise<readonly string[]> {
  await job.store.records.flush()
  const reader = job.store.records.reader(job)
  const fields = new FieldSet(first)
  for (let ordinal = 0; ordinal < count; ordinal++)
    fields.add(reader.peek(ordinal, 1) ?? (await reader.read(ordinal, 1)))
  return fields.names
}
