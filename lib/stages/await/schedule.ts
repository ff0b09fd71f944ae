/** The API's docs poll every 60 s; young batches are looked at more often, since most small ones end in minutes. */
const FIRST_MS = 5_000
const LONGEST_MS = 60_000

/**
 * How long to wait before the next look, in ms: what the user set, else a tenth of the youngest batch's time in flight, from
 * 5 s rising to 60 s.
 */
export function nextLook(pollMs: number | undefined, youngestMs: number): number {
  return pollMs ?? Math.min(LONGEST_MS, Math.max(FIRST_MS, youngestMs / 10))
}
