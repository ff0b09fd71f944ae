/** What the custom_ids that nobody chose begin with: the job's run and the attempt. */
export function idPrefix(run: string, attempt: number): string {
  return `${run}-${attempt.toString(36)}-`
}

/** Such an id: behind the prefix the record's ordinal in base 36. */
export function formatId(prefix: string, ordinal: number): string {
  return prefix + ordinal.toString(36)
}

/** The ordinal in such an id; undefined where the id does not begin so. */
export function ordinalOf(customId: string, prefix: string): number | undefined {
  if (!customId.startsWith(prefix)) return undefined
  const digits = customId.slice(prefix.length)
  const ordinal = parseInt(digits, 36)
  return ordinal >= 0 && ordinal.toString(36) === digits ? ordinal : undefined
}

/** The same for an id between `from` and `to`; -1 where the id does not begin with the prefix. */
export function ordinalIn(bytes: Uint8Array, from: number, to: number, prefix: Uint8Array): number {
  let at = from
  for (let index = 0; index < prefix.length; index++, at++)
    if (bytes[at] !== prefix[index]) return -1
  // Without a digit, with a zero in front or with more digits than a number holds exactly it is none of ours.
  if (at >= to || to - at > MOST_DIGITS || (bytes[at] === ZERO && to - at > 1)) return -1
  let ordinal = 0
  for (; at < to; at++) {
    const digit = digitOf(bytes[at] as number)
    if (digit === -1) return -1
    ordinal = ordinal * 36 + digit
  }
  return ordinal
}

const ZERO = 0x30
const MOST_DIGITS = 10

/** Lower case only, as ids are written. */
function digitOf(byte: number): number {
  if (byte >= ZERO && byte <= 0x39) return byte - ZERO
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x61 + 10 : -1
}
