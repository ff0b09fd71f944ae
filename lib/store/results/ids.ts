/** The custom_ids of one batch and the requests they name. */
export interface Ids {
  /** The position of the request with this id; -1 if the id is not of this batch. */
  position(customId: string): number
  /** The same for an id in `bytes`, without escapes; undefined if the caller must use `position`. */
  positionIn?(bytes: Uint8Array, from: number, to: number): number | undefined
  /** The id of the request at a position; undefined if only its result line has it. */
  idAt(position: number): string | undefined
  /** The ordinal of the request's record; undefined if it has no record. */
  ordinalAt(position: number): number | undefined
}

/** Ids of a batch that another tool created: each new id gets the next position. */
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
