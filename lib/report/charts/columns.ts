import { scaleBand, scaleLinear } from 'd3-scale'
import type { Histogram } from '../histogram.ts'
import { markup, type Markup } from '../markup.ts'
import { count, several } from '../words.ts'
import { chart, px } from './chart.ts'

const WIDTH = 450
const HEIGHT = 190
const LEFT = 44
const BOTTOM = 22
const TOP = 8
const MOST_BINS = 32
/** The width of a number below a column. */
const LABEL = 44

/** A histogram of tokens per answer. The numbers below are at the start of their bins. */
export function columnChart(histogram: Histogram, label: string): Markup {
  const bins = histogram.bins(MOST_BINS)
  const x = scaleBand(
    bins.map(({ from }) => from),
    [LEFT, WIDTH],
  )
  const y = scaleLinear([0, Math.max(...bins.map(bin => bin.count))], [HEIGHT - BOTTOM, TOP]).nice(
    4,
  )
  const isWhole = (tick: number): boolean => Number.isInteger(tick)
  const lines = y
    .ticks(4)
    .filter(isWhole)
    .map(
      tick =>
        markup`<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${px(y(tick))}" y2="${px(y(tick))}"/><text class="tick left" x="${LEFT - 6}" y="${px(y(tick))}">${short(tick)}</text>`,
    )
  const step = x.bandwidth()
  const every = Math.max(1, Math.ceil(LABEL / step))
  const columns = bins.map(({ from, to, count: tall }, at) => {
    // Every bin is in its domain.
    const left = x(from) as number
    const height = tall > 0 ? Math.max(1, y(0) - y(tall)) : 0
    const tokens =
      to - from === 1 ? several(from, 'token') : `${count(from)}–${count(to - 1)} tokens`
    const number =
      at % every === 0
        ? markup`<text class="tick below" x="${px(left)}" y="${HEIGHT - 6}">${short(from)}</text>`
        : undefined
    return markup`<rect class="data" x="${px(left + 0.5)}" y="${px(y(0) - height)}" width="${px(Math.max(1, step - 1))}" height="${px(height)}"><title>${tokens}: ${several(tall, 'answer')}</title></rect>${number}`
  })
  const base = markup`<line class="axis" x1="${LEFT}" x2="${WIDTH}" y1="${px(y(0))}" y2="${px(y(0))}"/>`
  return chart(WIDTH, HEIGHT, label, [lines, columns, base])
}

/** A short number: 950, 1.2k, 34k, 1.5M. */
function short(number: number): string {
  if (number < 1000) return String(number)
  const [of, unit] = number < 1_000_000 ? [1000, 'k'] : [1_000_000, 'M']
  return `${Number((number / of).toPrecision(number < 10 * of ? 2 : 3))}${unit}`
}
