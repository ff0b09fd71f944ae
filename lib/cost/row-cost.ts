import type { Result } from '../core/results/result.ts'
import { costOf } from './cost.ts'
import type { PriceOf } from './price.ts'
import { exactUsd } from './usd.ts'

/** What a row's answer was billed, as JSON: 0 where nothing was, null where the price of the model is unknown. */
export type RowCost = (result: Pick<Result, 'usage' | 'model'>) => string

export function rowCost(priceOf: PriceOf): RowCost {
  return ({ usage, model }) => {
    const cost = usage ? costOf(usage, model ?? '', priceOf) : 0n
    return cost === undefined ? 'null' : exactUsd(cost)
  }
}
