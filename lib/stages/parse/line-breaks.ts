export const LF = 0x0a
export const CR = 0x0d

/** The index after the first line end at or after `from`, or the length. CRLF is one line end. */
export function nextLine(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) if (isBreak(bytes[at])) return behindBreak(bytes, at)
  return bytes.length
}

/** The index after the line end at `at`. */
export function behindBreak(bytes: Buffer, at: number): number {
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : at + 1
}

/** The first index from `from` that is not part of a line end. */
export function behindBreaks(bytes: Buffer, from: number): number {
  let at = from
  while (isBreak(bytes[at])) at++
  return at
}

/** The number of line ends that start between two indexes. */
export function countBreaks(bytes: Buffer, from: number, to: number): number {
  let count = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]
    if (byte === LF || (byte === CR && bytes[at + 1] !== LF)) count++
  }
  return count
}

/** Whether a line ends right before `at`. */
export function endsLine(bytes: Buffer, at: number): boolean {
  return isBreak(bytes[at - 1])
}

/** The bytes between two indexes without a trailing line end. */
export function lineBody(bytes: Buffer, from: number, to: number): Buffer {
  let end = to
  if (end > from && bytes[end - 1] === LF) end--
  if (end > from && bytes[end - 1] === CR) end--
  return bytes.subarray(from, end)
}

export function isBreak(byte: number | undefined): boolean {
  return byte === LF || byte === CR
}
