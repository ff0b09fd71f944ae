/**
 * Whether a parsed value nests deeper than `depth` levels of objects and arrays. It is not recursive, so deep values cannot
 * overflow the stack.
 */
export function deeperThan(value: unknown, depth: number): boolean {
  let level: object[] = isNest(value) ? [value] : []
  for (let left = depth; level.length > 0; left--) {
    if (left === 0) return true
    level = level.flatMap(nest => Object.values(nest).filter(isNest))
  }
  return false
}

function isNest(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/**
 * Whether a JSON text may nest deeper than `depth` levels, judged by the number of opening brackets, including those in
 * strings. This is far cheaper than visiting every node of its value.
 */
export function mayNestDeeper(text: string, depth: number): boolean {
  let left = depth
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (left-- === 0) return true
    }
  }
  return false
}
