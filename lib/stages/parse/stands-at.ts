/** Whether these bytes are at an index; false if too few are left. */
export function standsAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  return bytes[at] === wanted[0] && bytes.subarray(at, at + wanted.length).equals(wanted)
}
