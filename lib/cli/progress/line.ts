import { count, several } from '../../report/words.ts'
import { showUsd, usdOf } from '../../cost/usd.ts'
import { agesOf, leftOf, totalOf, type RunProgress } from './run-progress.ts'

/**
 * The state of a run in one line of at most `width` characters. Parts that do not fit are left out, from the end. There is
 * no per-request progress because the API reports none while a batch runs.
 */
export function lineOf(progress: RunProgress, now: number, width: number = Infinity): string {
  const { records, complete, rows } = progress
  const left = leftOf(progress, now)
  let line = `${several(records, 'record')}${complete ? '' : ' so far'}`.slice(
    0,
    Math.max(0, width),
  )
  const parts = [
    batchesDone(progress),
    several(rows, 'row'),
    money(progress),
    left === undefined ? '' : `about ${span(left)} left`,
  ]
  for (const part of parts.filter(text => text !== '')) {
    if (line.length + 2 + part.length > width) return line
    line += `, ${part}`
  }
  return line + running(agesOf(progress, now), width - line.length)
}

function batchesDone(progress: RunProgress): string {
  const { batches, is } = totalOf(progress)
  const done = count(progress.done)
  if (batches === 0) return `${done} batches done`
  const how = { known: '', estimated: 'about ', 'at least': 'at least ' }[is]
  return `${done} of ${how}${count(batches)} ${batches === 1 ? 'batch' : 'batches'} done`
}

/** How many batches run and the age of each, oldest first, as far as they fit. */
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

function money({ spent, expected }: RunProgress): string {
  if (spent === null) return ''
  return `${dollars(spent)}${expected === null ? '' : ` of about ${dollars(expected)}`}`
}

function dollars(amount: number): string {
  return showUsd(usdOf(amount))
}

/** A duration such as 45s, 12m or 3h05m. */
export function span(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes}m`
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}
