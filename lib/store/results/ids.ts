/** The custom_ids of one batch and the requests they name. */
export interface Ids {
  /** The position of the request with this id; -1 where it is not of this batch. */
  position(customId: string): number
  /** The same for an id that is written without escapes between `from` and `to`; undefined where only its text tells. */
  positionIn?(bytes: Uint8Array, from: number, to: number): number | undefined
  /** Undefined where only its result line tells. */
  idAt(position: number): string | undefined
  /** The record's ordinal; undefined where no record stands behind the request. */
  ordinalAt(position: number): number | undefined
}

/** Ids of a batch that some other tool made: each new one is the next. */
export class ForeignIds implements Ids {
  readonly #positions = new Map<string, number>()

  position(customId: string): number {
    const known = this.#positions.get(customId)
    if (known !== undefined) return known
    const position = this.#positions.size
    this.#positions.set(customId, position)
    return position
  }

  idAt(): undefined {
    return undefined
  }

  ordinalAt(): undefined {
    return undefined
  }
}
