/** Gives the items another order, the same one for the same seed. The API promises no order either. */
export function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const mixed = [...items]
  let state = Math.imul(seed, 2654435761) >>> 0 || 1
  for (let at = mixed.length - 1; at > 0; at--) {
    // xorshift32: small, and good enough to mix rows.
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    const other = state % (at + 1)
    const item = mixed[at]
    // Both places lie within the array.
    mixed[at] = mixed[other] as Item
    mixed[other] = item as Item
  }
  return mixed
}
