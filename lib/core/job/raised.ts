/** What a batch was billed, and its worst case, in femtodollars. */
export interface Bill {
  readonly spent: bigint
  /** More than 0. */
  readonly reserved: bigint
}

/** Nothing is raised by it. */
export const AS_ESTIMATED: Bill = { spent: 1n, reserved: 1n }

/** Whether a batch was billed more than another one, relative to its worst case. */
export function isHigher({ spent, reserved }: Bill, than: Bill): boolean {
  return spent * than.reserved > than.spent * reserved
}

/** Raises worst cases as far as a batch was billed above its own. */
export function raisedLike({ spent, reserved }: Bill): (worst: bigint) => bigint {
  return worst => (worst * spent + reserved - 1n) / reserved
}
