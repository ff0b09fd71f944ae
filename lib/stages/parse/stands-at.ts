/** Whether these bytes stand at an index; where too few are left, they do not. */
export function standsAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  return bytes[at] === wanted[0] && bytes.subarray(at, at + wanted.length).equals(wanted)
}
