/** Longer names are compared no further than this: a hint is not worth a quadratic walk over a whole document. */
const LONGEST = 100

/**
 * The known name that was probably meant: the one with the fewest typing slips (a letter too many, too few, wrong, or two
 * swapped), if these are at most a third of its letters. Upper and lower case are one letter here.
 */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.trim().toLowerCase()
  if (wanted.length > LONGEST) return undefined
  let best: string | undefined
  let fewest = Infinity
  for (const candidate of known) {
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3))
    if (Math.abs(candidate.length - wanted.length) > allowed) continue
    const slips = distance(wanted, candidate.toLowerCase())
    if (slips <= allowed && slips < fewest) [best, fewest] = [candidate, slips]
  }
  return best
}

/** A hint to stand at the end of a sentence: ` (did you mean "review"?)`, or nothing when no name is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearest(name, known)
  return near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`
}

// Optimal string alignment: Levenshtein's rows, plus the row before the last for two swapped letters.
function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + (same ? 0 : 1),
        swapped ? at(before, j - 2) + 1 : Infinity,
      )
    }
    before = last
    last = row
  }
  return at(last, b.length)
}

// Every cell read here has been written before; the compiler cannot see that.
function at(row: readonly number[], index: number): number {
  return row[index] as number
}
