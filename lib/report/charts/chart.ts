import { markup, type Markup, type Piece } from '../markup.ts'

/** The width that charts are drawn for; a page scales them. */
export const WIDTH = 940

/** An SVG drawing. `label` says in words what it shows, for whoever does not see it. */
export function chart(height: number, label: string, body: Piece, width: number = WIDTH): Markup {
  return markup`<div class="chart"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${body}</svg></div>`
}

/** A number of the drawing: two decimals are finer than any screen. */
export function px(number: number): string {
  return String(Math.round(number * 100) / 100)
}
