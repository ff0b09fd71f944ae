/** Money is counted in whole femtodollars (10^-15 USD): fine enough that no price below is ever rounded. */
export const DOLLAR: bigint = 10n ** 15n

/** Decimals that a list price may have, so that each share of it (half, a tenth, 1.25 and 1.1 times) stays whole. */
const PRICE_DECIMALS = 5

/** Reads `12.50` as money, exactly; undefined where the text is no such amount. */
export function parseUsd(text: string): bigint | undefined {
  const [, whole, fraction = ''] = /^(\d{1,12})(?:\.(\d{1,15}))?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  return BigInt(whole) * DOLLAR + BigInt(fraction.padEnd(15, '0'))
}

/** Reads USD per million tokens as money per token; undefined where it is no such price, or has too many decimals. */
export function parseRate(text: string): bigint | undefined {
  const decimals = text.split('.')[1]?.length ?? 0
  const million = decimals > PRICE_DECIMALS ? undefined : parseUsd(text)
  return million === undefined ? undefined : million / 1_000_000n
}

/**
 * Money as people read it, rounded to the nearest: cents from ten cents on, three significant digits below, so that what
 * costs something never shows as nothing.
 */
export function showUsd(amount: bigint): string {
  return shown(amount, unit => unit / 2n)
}

/** The same, rounded up: for an amount that has to be enough. */
export function showUsdUp(amount: bigint): string {
  return shown(amount, unit => unit - 1n)
}

function shown(amount: bigint, addedTo: (unit: bigint) => bigint): string {
  const unit = unitOf(amount)
  const rounded = ((amount + addedTo(unit)) / unit) * unit
  // What is rounded to one digit more needs one decimal less.
  const decimals = decimalsOf(rounded)
  const digits = String(rounded / unitOf(rounded)).padStart(decimals + 1, '0')
  return `$${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

function unitOf(amount: bigint): bigint {
  return 10n ** BigInt(15 - decimalsOf(amount))
}

function decimalsOf(amount: bigint): number {
  if (amount === 0n || amount >= DOLLAR / 10n) return 2
  // A digit for each power of ten below the first decimal.
  const zeros = 15 - String(amount).length
  return Math.min(15, zeros + 3)
}

/** Money as a JSON number of dollars with all its digits: sums of such numbers are exact where they are added as decimals. */
export function exactUsd(amount: bigint): string {
  const digits = String(amount).padStart(16, '0')
  const fraction = digits.slice(-15).replace(/0+$/, '')
  return `${digits.slice(0, -15)}${fraction === '' ? '' : `.${fraction}`}`
}

/** Money as a JSON number of dollars: the double that is nearest to it. */
export function usdNumber(amount: bigint): number {
  return Number(exactUsd(amount))
}

/** Such a number as money again. */
export function usdOf(dollars: number): bigint {
  return BigInt(Math.round(dollars * 1e15))
}

/** An amount that has to be enough, as --max-cost takes it: rounded up to two significant digits. */
export function suggestedUsd(amount: bigint): string {
  const unit = 10n ** BigInt(Math.max(0, String(amount).length - 2))
  return exactUsd(((amount + unit - 1n) / unit) * unit)
}
