/** Money is counted in whole femtodollars (10^-15 USD), so no price below is rounded. */
export const DOLLAR: bigint = 10n ** 15n

/** Decimals of a list price, such that each share of it (half, a tenth, 1.25 and 1.1 times) stays a whole number. */
const PRICE_DECIMALS = 5

/** Parses an amount such as `12.50` exactly; undefined if the text is not an amount. */
export function parseUsd(text: string): bigint | undefined {
  const [, whole, fraction = ''] = /^(\d{1,12})(?:\.(\d{1,15}))?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  return BigInt(whole) * DOLLAR + BigInt(fraction.padEnd(15, '0'))
}

/** Parses USD per million tokens as money per token; undefined if the text is not a price or has too many decimals. */
export function parseRate(text: string): bigint | undefined {
  const decimals = text.split('.')[1]?.length ?? 0
  const million = decimals > PRICE_DECIMALS ? undefined : parseUsd(text)
  return million === undefined ? undefined : million / 1_000_000n
}

/**
 * Formats money rounded to the nearest: cents from ten cents up, three significant digits below, so that a cost never shows
 * as zero.
 */
export function showUsd(amount: bigint): string {
  return shown(amount, unit => unit / 2n)
}

/** Formats money rounded up, for an amount that must suffice. */
export function showUsdUp(amount: bigint): string {
  return shown(amount, unit => unit - 1n)
}

function shown(amount: bigint, addedTo: (unit: bigint) => bigint): string {
  const unit = unitOf(amount)
  const rounded = ((amount + addedTo(unit)) / unit) * unit
  // Rounding up to one more digit needs one decimal less.
  const decimals = decimalsOf(rounded)
  const digits = String(rounded / unitOf(rounded)).padStart(decimals + 1, '0')
  return `$${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

function unitOf(amount: bigint): bigint {
  return 10n ** BigInt(15 - decimalsOf(amount))
}

function decimalsOf(amount: bigint): number {
  if (amount === 0n || amount >= DOLLAR / 10n) return 2
  // One more decimal for each power of ten below the first decimal.
  const zeros = 15 - String(amount).length
  return Math.min(15, zeros + 3)
}

/** Money as an exact JSON number of dollars. */
export function exactUsd(amount: bigint): string {
  const digits = String(amount).padStart(16, '0')
  const fraction = digits.slice(-15).replace(/0+$/, '')
  return `${digits.slice(0, -15)}${fraction === '' ? '' : `.${fraction}`}`
}

/** Money as the nearest double of dollars. */
export function usdNumber(amount: bigint): number {
  return Number(exactUsd(amount))
}

/** Parses such a number. */
export function usdOf(dollars: number): bigint {
  return BigInt(Math.round(dollars * 1e15))
}

/** An amount that suffices, for --max-cost: rounded up to two significant digits. */
export function suggestedUsd(amount: bigint): string {
  const unit = 10n ** BigInt(Math.max(0, String(amount).length - 2))
  return exactUsd(((amount + unit - 1n) / unit) * unit)
}

/** The dollars of a job in `status --json`; null if unknown. */
export interface Dollars {
  readonly spent_usd: number | null
  readonly reserved_usd: number | null
  readonly estimate_usd: number | null
}
