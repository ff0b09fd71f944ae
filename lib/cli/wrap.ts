import type { Help } from 'commander'
import type { Io } from './io.ts'

/** Default and maximum width of help: longer lines are hard to read. */
const COLUMNS = 80
const MOST_COLUMNS = 100

/** A term and its meaning, as two columns. */
export type HelpItem = readonly [term: string, text: string]

export function screenWidth({ stdout }: Pick<Io, 'stdout'>): number {
  return Math.min((stdout.isTTY && stdout.columns) || COLUMNS, MOST_COLUMNS)
}

/** Terms on the left and their texts on the right, wrapped to a width. */
export async function wrapItems(items: readonly HelpItem[], width: number): Promise<string[]> {
  const help = await helpFor(width)
  const termWidth = Math.max(...items.map(([term]) => term.length))
  return items.map(([term, text]) => help.formatItem(term, termWidth, text, help))
}

async function helpFor(helpWidth: number): Promise<Help> {
  // Loaded lazily, since `--version` must not wait for it.
  const { Help } = await import('commander')
  return Object.assign(new Help(), { helpWidth, minWidthToWrap: 20 })
}
