import { formatId, idPrefix, ordinalIn, ordinalOf } from '../../core/custom-id.ts'
import type { StoredJob } from '../job.ts'
import { chosenIdsOf } from '../batch-files.ts'
import type { Ids } from './ids.ts'
import { OrdinalReader, positionOf } from '../ordinals.ts'

/** Maps the custom_ids of a batch to its requests. In memory for the batches that are being fetched or read. */
export class BatchIds implements Ids {
  readonly #prefix: string
  readonly #prefixBytes: Uint8Array
  readonly #members: Float64Array
  /** Ids chosen by the user; all others contain their record's ordinal. */
  readonly #chosen: ReadonlyMap<string, number>
  #byPosition: ReadonlyMap<number, string> | undefined

  private constructor(prefix: string, members: Float64Array, chosen: ReadonlyMap<string, number>) {
    this.#prefix = prefix
    this.#prefixBytes = Buffer.from(prefix)
    this.#members = members
    this.#chosen = chosen
  }

  static async of(job: StoredJob, number: number): Promise<BatchIds> {
    const batch = job.batch(number)
    const members = await OrdinalReader.use(job.store, batch, reader => reader.all())
    const chosen = new Map(await chosenIdsOf(job.store, batch))
    return new BatchIds(idPrefix(job.run, batch.attempt), members, chosen)
  }

  /** The ordinal of the record of the request at a position in the body. */
  ordinalAt(position: number): number | undefined {
    return this.#members[position]
  }

  /** The position in the body of the request with this id; -1 if the id is not of this batch. */
  position(customId: string): number {
    const chosen = this.#chosen.get(customId)
    if (chosen !== undefined) return chosen
    const ordinal = ordinalOf(customId, this.#prefix)
    return ordinal === undefined ? -1 : positionOf(ordinal, this.#members)
  }

  positionIn(bytes: Uint8Array, from: number, to: number): number | undefined {
    if (this.#chosen.size > 0) return undefined
    const ordinal = ordinalIn(bytes, from, to, this.#prefixBytes)
    return ordinal === -1 ? -1 : positionOf(ordinal, this.#members)
  }

  /** Whether the user chose the id of every request. */
  get areAllChosen(): boolean {
    return this.#chosen.size === this.#members.length
  }

  /** The id that the user chose for the request at a position. */
  chosenAt(position: number): string | undefined {
    this.#byPosition ??= new Map([...this.#chosen].map(([id, at]) => [at, id]))
    return this.#byPosition.get(position)
  }

  /** The id of the request at a position. */
  idAt(position: number): string {
    // Callers pass positions of requests only, and each has a record.
    const ordinal = this.#members[position] as number
    return this.chosenAt(position) ?? formatId(this.#prefix, ordinal)
  }
}
