import type { Result } from '../core/results/result.ts'
import { costOf, lacksOutput, tokensOf } from './cost.ts'
import type { PriceOf } from './price.ts'
import { exactUsd, usdNumber } from './usd.ts'

type Priced = Pick<Result, 'usage' | 'model'> & Partial<Pick<Result, 'isBilled' | 'status'>>

/**
 * The cost of a row's answer as JSON: 0 if nothing was billed, null if the price of the model is unknown or the usage does
 * not say what was billed.
 */
export type RowCost = (result: Priced) => string

export function rowCost(priceOf: PriceOf): RowCost {
  return result => {
    const cost = costOfRow(result, priceOf)
    return cost === undefined ? 'null' : exactUsd(cost)
  }
}

/** The same as a number of USD. */
export function answerCost(priceOf: PriceOf): (result: Priced) => number | null {
  return result => {
    const cost = costOfRow(result, priceOf)
    return cost === undefined ? null : usdNumber(cost)
  }
}

function costOfRow(answer: Priced, priceOf: PriceOf): bigint | undefined {
  const { usage, model, isBilled = false, status } = answer
  if (!usage) return isBilled ? undefined : 0n
  if (lacksOutput(tokensOf(usage), status)) return undefined
  return costOf(usage, model ?? '', priceOf)
}
