const REPLACEMENT = '\ufffd'

/** The offset of the first byte that is not valid UTF-8; -1 if all are valid. A genuine U+FFFD is valid. */
export function invalidUtf8At(bytes: Buffer): number {
  const text = bytes.toString('utf8')
  let offset = 0
  let from = 0
  for (let at = text.indexOf(REPLACEMENT); at !== -1; at = text.indexOf(REPLACEMENT, from)) {
    offset += Buffer.byteLength(text.slice(from, at))
    // The decoder replaces invalid bytes with U+FFFD; if its own bytes are here, it was in the text.
    if (bytes[offset] !== 0xef || bytes[offset + 1] !== 0xbf || bytes[offset + 2] !== 0xbd)
      return offset
    offset += 3
    from = at + 1
  }
  return -1
}

/** The number of bytes at the end that begin an incomplete character: 0 to 3. */
export function cutCharacter(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes.readUInt8(bytes.length - back)
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return back < lengthOf(byte) ? back : 0
  }
  return 0
}

function lengthOf(lead: number): number {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
}
