/** The prefix of generated custom_ids: the job's run and the attempt. */
export function idPrefix(run: string, attempt: number): string {
  return `${run}-${attempt.toString(36)}-`
}

/** A generated custom_id: the prefix and the record's ordinal in base 36. */
export function formatId(prefix: string, ordinal: number): string {
  return prefix + ordinal.toString(36)
}

/** The ordinal of a generated custom_id; undefined if it lacks the prefix. */
export function ordinalOf(customId: string, prefix: string): number | undefined {
  if (!customId.startsWith(prefix)) return undefined
  const digits = customId.slice(prefix.length)
  const ordinal = parseInt(digits, 36)
  return ordinal >= 0 && ordinal.toString(36) === digits ? ordinal : undefined
}

/** The same for the bytes from `from` to `to`; -1 if they lack the prefix. */
export function ordinalIn(bytes: Uint8Array, from: number, to: number, prefix: Uint8Array): number {
  let at = from
  for (let index = 0; index < prefix.length; index++, at++)
    if (bytes[at] !== prefix[index]) return -1
  // An id without digits, with a leading zero or with more digits than a safe integer was not generated.
  if (at >= to || to - at > MOST_DIGITS || (bytes[at] === ZERO && to - at > 1)) return -1
  let ordinal = 0
  for (; at < to; at++) {
    // In range by the loop's condition.
    const digit = digitOf(bytes[at] as number)
    if (digit === -1) return -1
    ordinal = ordinal * 36 + digit
  }
  return ordinal
}

const ZERO = 0x30
const MOST_DIGITS = 10

/** Lower case only, as ids are generated. */
function digitOf(byte: number): number {
  if (byte >= ZERO && byte <= 0x39) return byte - ZERO
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x61 + 10 : -1
}
