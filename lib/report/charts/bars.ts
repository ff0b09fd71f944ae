import { scaleLinear } from 'd3-scale'
import { markup, type Markup } from '../markup.ts'
import { bothSizes, chart, px, WIDTHS, type Size } from './chart.ts'

/** A bar with its name before or above it and its value after it. */
export interface Bar {
  readonly name: string
  readonly value: number
  /** The value as the text after the bar. */
  readonly said: string
  /** The CSS class that gives the bar its color. */
  readonly look: string
  /** Drawn close below the previous bar, for comparison; its name is only a tooltip. */
  readonly isSecond?: boolean
}

/** Space for names before the bars, for values after them, and for names above them. */
const ROOM: Readonly<Record<Size, { names: number; values: number; above: number }>> = {
  wide: { names: 150, values: 150, above: 0 },
  narrow: { names: 0, values: 130, above: 20 },
}
const THICK = 18
const NEAR = 2
const APART = 8

/** A chart of horizontal bars. */
export function barChart(bars: readonly Bar[], label: string): Markup {
  return bothSizes(size => barsFor(size, bars, label))
}

function barsFor(size: Size, bars: readonly Bar[], label: string): Markup {
  const { names, values, above } = ROOM[size]
  const width = WIDTHS[size]
  const x = scaleLinear([0, Math.max(...bars.map(bar => bar.value))], [0, width - names - values])
  let bottom = 0
  const rows = bars.map(({ name, value, said, look, isSecond }) => {
    const gap = isSecond ? NEAR : above + (bottom === 0 ? 0 : APART)
    const top = bottom + gap
    bottom = top + THICK
    // A small value must stay visible.
    const long = value > 0 ? Math.max(2, x(value)) : 0
    const at = above > 0 ? { x: 0, y: top - above / 2 } : { x: names - 10, y: top + THICK / 2 }
    const title = isSecond
      ? undefined
      : markup`<text class="${above > 0 ? 'above' : 'name'}" x="${at.x}" y="${at.y}">${name}</text>`
    return markup`${title}<rect class="${look}" x="${names}" y="${top}" width="${px(long)}" height="${THICK}" rx="2"><title>${name}: ${said}</title></rect><text class="value" x="${px(names + long + 8)}" y="${top + THICK / 2}">${said}</text>`
  })
  return chart(width, bottom, label, rows)
}
