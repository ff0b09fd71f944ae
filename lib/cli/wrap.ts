import type { Help } from 'commander'
import type { Io } from './io.ts'

/** Columns of help where the screen says nothing, and at most: longer lines are hard to read. */
const COLUMNS = 80
const MOST_COLUMNS = 100

/** A term and what it means, as two columns. */
export type Item = readonly [term: string, text: string]

export function screenWidth({ stdout }: Pick<Io, 'stdout'>): number {
  return Math.min((stdout.isTTY && stdout.columns) || COLUMNS, MOST_COLUMNS)
}

/** Terms on the left and their texts on the right, wrapped between words to a width. */
export async function wrapItems(items: readonly Item[], width: number): Promise<string[]> {
  const help = await helpFor(width)
  const termWidth = Math.max(...items.map(([term]) => term.length))
  return items.map(([term, text]) => help.formatItem(term, termWidth, text, help))
}

async function helpFor(helpWidth: number): Promise<Help> {
  // Loaded here, because `--version` must not wait for it.
  const { Help } = await import('commander')
  return Object.assign(new Help(), { helpWidth, minWidthToWrap: 20 })
}
