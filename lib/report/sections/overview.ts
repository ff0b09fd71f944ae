import { sum } from 'd3-array'
import { barChart } from '../charts/bars.ts'
import { timeChart } from '../charts/time-chart.ts'
import { LOOK_OF } from '../looks.ts'
import { markup, type Markup, type Section } from '../markup.ts'
import type { JobReport } from '../report.ts'
import { batchTable } from './batch-table.ts'
import { STATUSES } from '../../core/results/status.ts'
import { count, dollars, moment, percent, several, span } from '../words.ts'

/** The header: the job and its most important figures. */
export function overview(report: JobReport): Markup {
  const { job, note, state, madeAt, openedAt, model, sources, records, isRead, timeLine } = report
  const { rows, ledger } = report.figures
  const all = sum(Object.values(rows))
  const { spent, synchronous } = ledger
  const [first, ...more] = sources
  const from = first === undefined ? '' : ` from ${first}`
  const others = more.length === 0 ? '' : ` and ${several(more.length, 'other file')}`
  const what = `${several(records, 'record')}${isRead ? '' : ' so far'}${from}${others}`
  return markup`<header><h1>${job} <span class="state ${state}">${state}</span></h1>
<p class="soft">${what}${model === undefined ? '' : `, model ${model}`}. Started ${moment(openedAt)}${state === 'finished' ? '' : `; state as of ${moment(madeAt)}`}.</p>
${note === undefined ? undefined : markup`<p>${note}</p>`}
<dl class="tiles">${[
    tile('Rows', count(all), `of ${several(records, 'record')}`),
    tile('Succeeded', percent(rows.succeeded ?? 0, all), count(rows.succeeded ?? 0)),
    tile('Spent', dollars(spent), `synchronous calls: ${dollars(synchronous)}`),
    tile('Time', span(timeLine.to - timeLine.from), several(batchesIn(report), 'batch', 'batches')),
  ]}</dl></header>`
}

function tile(name: string, value: string, note: string): Markup {
  return markup`<div class="tile"><dt>${name}</dt><dd>${value}</dd><dd class="note">${note}</dd></div>`
}

function batchesIn({ timeLine: { lanes, waiting } }: JobReport): number {
  return sum(lanes, ({ batches }) => batches) + waiting
}

/** Rows by status. */
export function rowsSection({ records, figures }: JobReport): Section {
  const { rows, repeats, reused } = figures
  const without = Math.max(0, records - sum(Object.values(rows)))
  const bars = STATUSES.flatMap(status => {
    const value = rows[status] ?? 0
    const said = `${count(value)}, ${percent(value, records)}`
    return value === 0 ? [] : [{ name: status, value, said, look: LOOK_OF[status] }]
  })
  const open = { name: 'no row yet', value: without, look: 'pale' }
  const said = `${count(without)}, ${percent(without, records)}`
  const all = without === 0 ? bars : [...bars, { ...open, said }]
  const shared =
    repeats === 0
      ? undefined
      : markup`<p class="soft">${several(repeats, 'row has', 'rows have')} the answer of an identical request, and cost nothing.</p>`
  const earlier =
    reused === 0
      ? undefined
      : markup`<p class="soft">${several(reused, 'row has', 'rows have')} the answer of an earlier job, and cost nothing.</p>`
  if (records === 0) return 'No record has been read yet.'
  return markup`<section><h2>Rows by status</h2>${barChart(all, 'Rows by status')}${shared}${earlier}</section>`
}

/** When batches were submitted and ended. */
export function batchesSection({ timeLine, batches }: JobReport): Section {
  const { lanes, perLane, waiting } = timeLine
  const notes = [
    perLane > 1 ? `Each row covers ${perLane} consecutive batches.` : '',
    waiting > 0
      ? `${several(waiting, 'batch is', 'batches are')} ready and not submitted yet.`
      : '',
  ].filter(note => note !== '')
  if (lanes.length === 0) return ['No batch has been submitted.', ...notes].join(' ')
  const again = lanes.some(({ attempt }) => attempt > 1)
  const running = lanes.some(({ kind }) => kind !== 'ended')
  const keys = [
    markup`<span class="key"></span>from submission to end`,
    again ? markup`<span class="key again"></span>retried` : undefined,
    running ? markup`<span class="key running"></span>not ended` : undefined,
  ]
  return markup`<section><h2>Batches</h2><figure>${timeChart(timeLine)}<figcaption>Times are UTC. The numbers at the right are requests.${keys}. ${notes.join(' ')}</figcaption></figure>${batchTable(batches)}</section>`
}
