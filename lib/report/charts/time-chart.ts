import { scaleLinear } from 'd3-scale'
import { area, curveStepAfter } from 'd3-shape'
import { markup, type Markup } from '../markup.ts'
import type { Lane, TimeLine } from '../time-line.ts'
import { count, several, span } from '../words.ts'
import { bothSizes, chart, px, WIDTHS, type Size } from './chart.ts'
import { timeScale, timeTicks, type TimeScale } from './time-axis.ts'

/** Space for names before the time line, and for numbers after it. */
const ROOM: Readonly<Record<Size, { names: number; right: number }>> = {
  wide: { names: 96, right: 76 },
  narrow: { names: 72, right: 72 },
}
const CURVE = 96
const GAP = 12
const ROW = 15
const BOTTOM = 24

/** The area of the time line. */
interface Frame {
  readonly x: TimeScale
  readonly left: number
  readonly right: number
}

/** The number of ended requests over time, and below it each batch from submission to end. */
export function timeChart(line: TimeLine): Markup {
  return bothSizes(size => timesFor(size, line))
}

function timesFor(size: Size, line: TimeLine): Markup {
  const left = ROOM[size].names
  const right = WIDTHS[size] - ROOM[size].right
  const x = timeScale(line.from, line.to, [left, right])
  const frame = { x, left, right }
  const top = CURVE + GAP
  const floor = top + line.lanes.length * ROW
  const ticks = timeTicks(x).map(
    ({ at, said }) =>
      markup`<line class="grid" x1="${px(x(at))}" x2="${px(x(at))}" y1="0" y2="${floor}"/><text class="tick below" x="${px(x(at))}" y="${floor + 16}">${said}</text>`,
  )
  const lanes = line.lanes.map((lane, at) => laneOf(lane, frame, top + at * ROW))
  const axis = markup`<line class="axis" x1="${left}" x2="${right}" y1="${floor}" y2="${floor}"/>`
  const label = `${several(line.lanes.length, 'row')} of batches from submission to end, and the number of ended requests over time`
  return chart(WIDTHS[size], floor + BOTTOM, label, [ticks, curveOf(line, frame), lanes, axis])
}

function curveOf({ ended, requests, done, to }: TimeLine, { x, left, right }: Frame): Markup {
  const y = scaleLinear([0, requests], [CURVE, 6])
  const shape = area<{ readonly at: number; readonly requests: number }>(
    ({ at }) => x(at),
    CURVE,
    step => y(step.requests),
  ).curve(curveStepAfter)
  // Without a canvas context, it returns the path.
  const path = shape([...ended, { at: to, requests: done }]) as string
  return markup`<text class="name" x="${left - 10}" y="${CURVE / 2}">ended</text><path class="area" d="${path}"><title>${count(done)} of ${several(requests, 'request')} had ended</title></path><line class="axis" x1="${left}" x2="${right}" y1="${CURVE}" y2="${CURVE}"/><text class="value small" x="${right + 8}" y="${px(Math.max(8, y(done)))}">${count(done)}</text>`
}

function laneOf(lane: Lane, { x, left, right }: Frame, top: number): Markup {
  const { first, last, ids, requests, attempt, from, to, kind } = lane
  const name = first === last ? `batch ${first}` : `${first}–${last}`
  const look = `lane ${kind}${attempt > 1 ? ' again' : ''}`
  const start = x(from)
  const width = Math.max(2, x(to) - start)
  const how = { ended: 'ended after', running: 'running for', unknown: 'sent, outcome unknown for' }
  const which = first === last ? `batch ${first}` : `batches ${first} to ${last}`
  const said = [
    ...[which, ids.join(), several(requests, 'request')],
    ...[attempt > 1 ? `attempt ${attempt}` : '', `${how[kind]} ${span(to - from)}`],
  ]
  return markup`<text class="name small" x="${left - 10}" y="${top + ROW / 2}">${name}</text><rect class="${look}" x="${px(start)}" y="${top + 2}" width="${px(width)}" height="${ROW - 4}" rx="2"><title>${said.filter(text => text !== '').join(', ')}</title></rect><text class="value small" x="${right + 8}" y="${top + ROW / 2}">${count(requests)}</text>`
}
