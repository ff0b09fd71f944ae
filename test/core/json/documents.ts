/** A stream of random whole numbers that is the same for a seed. */
export function seeded(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const STRINGS = [
  '""',
  '"a"',
  '"b c"',
  '"\\u0061"',
  '"q\\"q"',
  '"\\\\"',
  '"\\\\\\""',
  '"{[,:]}"',
  '"é😀"',
  '"\\ud800"',
  '"7"',
  '"__proto__"',
]
const SCALARS = ['0', '-1.50', '1e9', '12345678901234567890', 'true', 'false', 'null', ...STRINGS]
const BLANKS = ['', '', '', ' ', '\t', '\n', '\r\n  ']

/** The text of a random JSON value, with blanks wherever JSON allows them. */
export function randomJson(random: (below: number) => number, depth = 4): string {
  const pick = (from: readonly string[]): string => from[random(from.length)] ?? ''
  const blank = (): string => pick(BLANKS)
  const nest = depth > 0 ? random(3) : 0
  const inside = Array.from({ length: nest === 0 ? 0 : random(5) }, () => {
    const value = blank() + randomJson(random, depth - 1) + blank()
    return nest === 1 ? value : `${blank()}${pick(STRINGS)}${blank()}:${value}`
  })
  const text = inside.join(',') || blank()
  return blank() + (nest === 0 ? pick(SCALARS) : nest === 1 ? `[${text}]` : `{${text}}`) + blank()
}
