import { showUsd, usdOf } from '../../cost/usd.ts'
import { agesOf, leftOf, totalOf, type Standing } from './standing.ts'

/**
 * Where a run stands, on one line of at most `width` characters. What fits least is left out whole, from the end. The API tells
 * nothing of single requests while a batch runs, so nothing is said of them.
 */
export function lineOf(standing: Standing, now: number, width: number = Infinity): string {
  const { records, complete, rows } = standing
  const left = leftOf(standing, now)
  let line = `${count(records)} records${complete ? '' : ' so far'}`.slice(0, Math.max(0, width))
  const parts = [
    batchesDone(standing),
    `${count(rows)} rows`,
    money(standing),
    left === undefined ? '' : `about ${span(left)} left`,
  ]
  for (const part of parts.filter(text => text !== '')) {
    if (line.length + 2 + part.length > width) return line
    line += `, ${part}`
  }
  return line + running(agesOf(standing, now), width - line.length)
}

function batchesDone(standing: Standing): string {
  const { batches, is } = totalOf(standing)
  const done = count(standing.done)
  if (batches === 0) return `${done} batches done`
  const how = { known: '', estimated: 'about ', 'at least': 'at least ' }[is]
  return `${done} of ${how}${count(batches)} ${batches === 1 ? 'batch' : 'batches'} done`
}

/** How many batches run and how old each is, the oldest first: as many ages as there is room for. */
function running(ages: readonly number[], width: number): string {
  let shown = `, ${count(ages.length)} running`
  if (ages.length === 0 || shown.length > width) return ''
  for (const [at, age] of ages.entries()) {
    const longer = `${shown}${at === 0 ? ':' : ''} ${span(age)}`
    if (longer.length > width) break
    shown = longer
  }
  return shown
}

function money({ spent, expected }: Standing): string {
  if (spent === null) return ''
  return `${dollars(spent)}${expected === null ? '' : ` of about ${dollars(expected)}`}`
}

function dollars(amount: number): string {
  return showUsd(usdOf(amount))
}

export function count(number: number): string {
  return number.toLocaleString('en-US')
}

/** A time as people say it: 45s, 12m, 3h05m. */
export function span(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes}m`
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}
