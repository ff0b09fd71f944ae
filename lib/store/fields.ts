import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import { members } from '../core/json/scan.ts'
import type { StoredJob } from './job.ts'

/** Maximum input columns of a table. */
export const MAX_FIELDS = 1000

/** Maximum bytes of a table's field names as JSON, because the journal stores them in one line. */
const MAX_NAME_BYTES = 400_000

/** Field names in order of first appearance. */
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
   * Adds the fields of a record; an unreadable record has none.
   *
   * @throws BatchStreamError `CBS_OUTPUT` if a table cannot have that many fields
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
        : `field names of more than ${MAX_NAME_BYTES} bytes in total`
    throw new BatchStreamError(
      'CBS_OUTPUT',
      `the records have ${many}, too many for a table: choose columns with \`columns\` of the writer, or write JSON lines (\`writeJsonl\`)`,
      { option: 'columns' },
    )
  }
}

/**
 * The fields of a job's first `count` records, by default of all, read from disk.
 *
 * @throws BatchStreamError `CBS_OUTPUT` if a table cannot have that many fields
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
    fields.add(reader.tryReadSync(ordinal, 1) ?? (await reader.read(ordinal, 1)))
  return fields.names
}
