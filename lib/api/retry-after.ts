/** The longest wait an answer can ask for; more than this is nonsense, or a limit that should stop the run. */
const LONGEST_MS = 60 * 60 * 1000

/**
 * How long an answer asks us to wait, in ms: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date. Undefined
 * where it does not say so, or says nonsense (negative, a date gone by, an age).
 */
export function retryAfter(headers: Headers | undefined, now: number): number | undefined {
  const millis = headers?.get('retry-after-ms')
  const after = headers?.get('retry-after')
  if (millis !== null && millis !== undefined) return sane(Number(millis))
  if (after === null || after === undefined || after.trim() === '') return undefined
  const seconds = Number(after)
  return Number.isNaN(seconds) ? sane(Date.parse(after) - now) : sane(seconds * 1000)
}

function sane(ms: number): number | undefined {
  return ms >= 0 && ms <= LONGEST_MS ? ms : undefined
}
