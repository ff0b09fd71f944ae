import { markup, type Markup, type Piece } from '../markup.ts'

/** What a chart is drawn for: a screen with room, or a phone. */
export type Size = 'wide' | 'narrow'

/** The width of a drawing; a page scales it. A phone shows a narrow one about as large as it is drawn. */
export const WIDTHS: Readonly<Record<Size, number>> = { wide: 940, narrow: 350 }

/** A chart in both sizes. The style sheet shows one of them; scaling alone would make texts too small on a phone. */
export function bothSizes(draw: (size: Size) => Markup): Markup {
  return markup`<div class="at-wide">${draw('wide')}</div><div class="at-narrow">${draw('narrow')}</div>`
}

/** An SVG drawing. `label` says in words what it shows, for readers who do not see it. */
export function chart(width: number, height: number, label: string, body: Piece): Markup {
  return markup`<div class="chart"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${body}</svg></div>`
}

/** A number of the drawing: two decimals are finer than any screen. */
export function px(number: number): string {
  return String(Math.round(number * 100) / 100)
}
