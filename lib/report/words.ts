import { showUsd } from '../cost/usd.ts'

export function count(number: number): string {
  return number.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

/** `1 batch`, `2 batches`. */
export function several(number: number, one: string, many: string = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

/** A percentage that is 0% or 100% only if that is exact. */
export function percent(part: number, whole: number): string {
  if (part === 0 || whole === 0) return '0%'
  if (part === whole) return '100%'
  return `${Math.min(99.9, Math.max(0.1, Math.round((1000 * part) / whole) / 10))}%`
}

export function dollars(amount: bigint | undefined): string {
  return amount === undefined ? 'unknown' : showUsd(amount)
}

/** A duration for people: 0.4 s, 45 s, 12 min, 3 h 5 min, 2 d 1 h. */
export function span(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** A date and time in UTC, so that everyone who reads the page sees the same. */
export function moment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** Month, day and time for a narrow column, whose times are all UTC. */
export function second(at: number): string {
  return new Date(at).toISOString().slice(5, 19).replace('T', ' ')
}
