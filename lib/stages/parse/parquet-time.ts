/** Seconds of a day. */
const DAY = 86_400n

/** A date as ISO 8601, from days since 1970-01-01. */
export function dateText(days: number): string {
  // Days since 0000-03-01, in eras of 400 years, so that leap days come last (Hinnant, "chrono-compatible low-level date algorithms").
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return `${yearText(year)}-${padded(month, 2)}-${padded(day, 2)}`
}

/** A time of day from a count of units, of which a second has 10 to the power of `digits`. */
export function timeText(count: bigint, digits: number): string {
  const second = 10n ** BigInt(digits)
  const [seconds, fraction] = divided(count, second)
  const [minutes, s] = divided(seconds, 60n)
  const [hours, m] = divided(minutes, 60n)
  return `${padded(hours, 2)}:${padded(m, 2)}:${padded(s, 2)}.${padded(fraction, digits)}`
}

/** A date and time of day without a zone, from a count of such units since 1970-01-01. */
export function timestampText(count: bigint, digits: number): string {
  const [days, rest] = divided(count, DAY * 10n ** BigInt(digits))
  return `${dateText(Number(days))}T${timeText(rest, digits)}`
}

/** A duration as ISO 8601 from the 12 bytes of an interval: months, days and milliseconds. */
export function intervalText(bytes: Buffer): string {
  const [months, days, ms] = [0, 4, 8].map(at => bytes.readUInt32LE(at)) as [number, number, number]
  const [seconds, fraction] = divided(BigInt(ms), 1000n)
  return `P${months}M${days}DT${seconds}.${padded(fraction, 3)}S`
}

/** Quotient and remainder; the remainder is never negative. */
function divided(value: bigint, by: bigint): [bigint, bigint] {
  const rest = ((value % by) + by) % by
  return [(value - rest) / by, rest]
}

function padded(value: number | bigint, digits: number): string {
  return String(value).padStart(digits, '0')
}

function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return padded(year, 4)
  return `${year < 0 ? '-' : '+'}${padded(Math.abs(year), 6)}`
}
