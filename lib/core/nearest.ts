import { distance } from 'fastest-levenshtein'

/** Longer names are not compared, since a hint is not worth quadratic work. */
const LONGEST = 100

/**
 * The known name that was probably meant: the one with the fewest edits (Levenshtein), up to a third of its letters,
 * rounded up. Case is ignored.
 */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.trim().toLowerCase()
  if (wanted.length > LONGEST) return undefined
  let best: string | undefined
  let fewest = Infinity
  for (const candidate of known) {
    const allowed = Math.ceil(Math.max(wanted.length, candidate.length) / 3)
    if (Math.abs(candidate.length - wanted.length) > allowed) continue
    const edits = distance(wanted, candidate.toLowerCase())
    if (edits <= allowed && edits < fewest) [best, fewest] = [candidate, edits]
  }
  return best
}

/** A hint for the end of a sentence: ` (did you mean "review"?)`, or an empty string if no name is close. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearest(name, known)
  return near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`
}
