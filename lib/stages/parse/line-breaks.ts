export const LF = 0x0a
export const CR = 0x0d

/** The index behind the first line end at or after `from`; the length when there is none. CRLF is one line end. */
export function nextLine(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) if (isBreak(bytes[at])) return behindBreak(bytes, at)
  return bytes.length
}

/** The index behind the line end at `at`. */
export function behindBreak(bytes: Buffer, at: number): number {
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : at + 1
}

/** The first index from `from` on where no line end stands. */
export function behindBreaks(bytes: Buffer, from: number): number {
  let at = from
  while (isBreak(bytes[at])) at++
  return at
}

/** How many line ends begin between two indexes. */
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

/** The bytes between two indexes without the line end that closes them. */
export function lineBody(bytes: Buffer, from: number, to: number): Buffer {
  let end = to
  if (end > from && bytes[end - 1] === LF) end--
  if (end > from && bytes[end - 1] === CR) end--
  return bytes.subarray(from, end)
}

export function isBreak(byte: number | undefined): boolean {
  return byte === LF || byte === CR
}
