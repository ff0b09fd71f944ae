import { scaleLinear } from 'd3-scale'
import { markup, type Markup } from '../markup.ts'
import { chart, px, WIDTH } from './chart.ts'

/** One bar with its name before it and its value behind it. */
export interface Bar {
  readonly name: string
  readonly value: number
  /** The value in words. */
  readonly said: string
  /** A class of the style sheet, for its colour. */
  readonly look: string
  /** Drawn close below the bar before it, which it is compared with; its name is only shown when pointed at. */
  readonly isSecond?: boolean
}

const NAMES = 150
const VALUES = 150
const THICK = 18
const NEAR = 2
const APART = 8

/** Bars from left to right, one below the other. */
export function barChart(bars: readonly Bar[], label: string): Markup {
  const x = scaleLinear([0, Math.max(...bars.map(bar => bar.value))], [0, WIDTH - NAMES - VALUES])
  let bottom = 0
  const rows = bars.map(({ name, value, said, look, isSecond }) => {
    const top = bottom === 0 ? 0 : bottom + (isSecond ? NEAR : APART)
    bottom = top + THICK
    // What is there is seen, however little it is beside the rest.
    const width = value > 0 ? Math.max(2, x(value)) : 0
    const before = isSecond
      ? undefined
      : markup`<text class="name" x="${NAMES - 10}" y="${top + THICK / 2}">${name}</text>`
    return markup`${before}<rect class="${look}" x="${NAMES}" y="${top}" width="${px(width)}" height="${THICK}" rx="2"><title>${name}: ${said}</title></rect><text class="value" x="${px(NAMES + width + 8)}" y="${top + THICK / 2}">${said}</text>`
  })
  return chart(bottom, label, rows)
}
