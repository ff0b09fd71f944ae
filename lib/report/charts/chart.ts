import { markup, type Markup, type Piece } from '../markup.ts'

/** The layout of a chart: for a large screen, or for a phone. */
export type Size = 'wide' | 'narrow'

/** The width of a drawing, which the page scales. On a phone, a narrow one is shown at about its own size. */
export const WIDTHS: Readonly<Record<Size, number>> = { wide: 940, narrow: 350 }

/** A chart in both sizes, of which the style sheet shows one; scaling alone would make texts too small on a phone. */
export function bothSizes(draw: (size: Size) => Markup): Markup {
  return markup`<div class="at-wide">${draw('wide')}</div><div class="at-narrow">${draw('narrow')}</div>`
}

/** An SVG drawing. `label` describes it for screen readers. */
export function chart(width: number, height: number, label: string, body: Piece): Markup {
  return markup`<div class="chart"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${body}</svg></div>`
}

/** A coordinate with two decimals, which is finer than any screen. */
export function px(number: number): string {
  return String(Math.round(number * 100) / 100)
}
