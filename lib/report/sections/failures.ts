import { sum } from 'd3-array'
import { MOST_GROUPS } from '../failures.ts'
import { MAX_ATTEMPTS } from '../figures.ts'
import { LOOK_OF } from '../looks.ts'
import { markup, type Markup, type Section } from '../markup.ts'
import type { FailedLine, JobReport, ShownFailure } from '../report.ts'
import { STATUSES } from '../../core/results/status.ts'
import { count, several } from '../words.ts'

/** The number of groups that are shown; more are folded to keep the page short. */
const OPEN = 5

/** Failures grouped by message, with their positions in the input. */
export function failuresSection({ failures, figures, sources }: JobReport): Section {
  if (failures.length === 0) return 'No row failed.'
  const { others } = figures.failures
  const more =
    others === 0
      ? undefined
      : markup`<p>${several(others, 'more failure')} of other kinds; only the first ${MOST_GROUPS} kinds are listed.</p>`
  const groups = failures.map(group => groupOf(group, sources.length > 1))
  const folded = groups.slice(OPEN)
  const fold =
    folded.length === 0
      ? undefined
      : markup`<details><summary>${several(folded.length, 'more kind')} of failure</summary>${folded}</details>`
  return markup`<section id="failures"><h2>Failures</h2><p class="soft">The newest answer of each record counts. Messages that differ only in numbers are one kind, shown by the first of them, with the first input lines that failed this way.</p>${groups.slice(0, OPEN)}${fold}${more}</section>`
}

function groupOf(
  { status, type, message, count: many, lines }: ShownFailure,
  isNamed: boolean,
): Markup {
  return markup`<article class="failure ${LOOK_OF[status]}"><h3>${several(many, 'row')} ${status} <code>${type}</code></h3><p>${message}</p><table class="${isNamed ? 'texts' : 'texts one'}"><thead><tr><th>Line</th><th>Record</th></tr></thead><tbody>${lines.map(line => lineOf(line, isNamed))}</tbody></table></article>`
}

function lineOf({ line, source, text }: FailedLine, isNamed: boolean): Markup {
  const where = source === undefined || !isNamed ? count(line) : `${count(line)} of ${source}`
  return markup`<tr><td><bdi>${where}</bdi></td><td><code><bdi>${text}</bdi></code></td></tr>`
}

/** The requests of each attempt, and their statuses. */
export function triesSection({ figures: { tries } }: JobReport): Section {
  if (tries.length < 2) return 'No request was retried.'
  const seen = STATUSES.filter(status => tries.some(counts => counts[status] !== undefined))
  const head = seen.map(status => markup`<th>${status}</th>`)
  const rows = [...tries].map((counts, at) => {
    const name = at + 1 === MAX_ATTEMPTS ? `${MAX_ATTEMPTS} and more` : String(at + 1)
    const cells = seen.map(status => markup`<td>${count(counts?.[status] ?? 0)}</td>`)
    return markup`<tr><td>${name}</td><td>${count(sum(Object.values(counts ?? {})))}</td>${cells}</tr>`
  })
  return markup`<section><h2>Retries</h2><div class="wide"><table><thead><tr><th>Attempt</th><th>Requests</th>${head}</tr></thead><tbody>${rows}</tbody></table></div></section>`
}
