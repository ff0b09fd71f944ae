import { endOfValue, type Range } from './scan.ts'

const QUOTE = 0x22
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/**
 * The first number in a range of valid JSON that JSON.parse does not keep: an integer beyond 2^53 that a double does not hold, or one that
 * becomes infinite. Decimals are only rounded.
 */
export function changedNumber(json: Buffer, { start, end }: Range): string | undefined {
  for (let at = start; at < end;) {
    // Every index is in range.
    const byte = json[at] as number
    const isNumber = byte === MINUS || (byte >= ZERO && byte <= NINE)
    if (byte !== QUOTE && !isNumber) {
      at++
      continue
    }
    const next = endOfValue(json, at)
    const text = isNumber ? json.toString('latin1', at, next) : ''
    if (isNumber && isChanged(text)) return text
    at = next
  }
  return undefined
}

function isChanged(text: string): boolean {
  const number = Number(text)
  if (!Number.isFinite(number)) return true
  return /^-?\d{16,}$/.test(text) && BigInt(number) !== BigInt(text)
}
