import type { Result } from '../core/results/result.ts'
import { costByClass, type Billed } from './cost.ts'
import type { PriceOf } from './price.ts'

const NOTHING: Billed = { input: 0n, output: 0n, write5m: 0n, write1h: 0n, read: 0n, searches: 0n }

/** What answers cost by class, as they were billed and as synchronous calls. What has no price is left out of both. */
export class Bill {
  readonly #priceOf: PriceOf
  #batch = NOTHING
  #synchronous = NOTHING

  constructor(priceOf: PriceOf) {
    this.#priceOf = priceOf
  }

  add({ usage, model }: Pick<Result, 'usage' | 'model'>): void {
    const cost = usage && costByClass(usage, model ?? '', this.#priceOf)
    if (!cost) return
    this.#batch = plus(this.#batch, cost.batch)
    this.#synchronous = plus(this.#synchronous, cost.synchronous)
  }

  /** In femtodollars. */
  get batch(): Billed {
    return this.#batch
  }

  get synchronous(): Billed {
    return this.#synchronous
  }
}

function plus(a: Billed, b: Billed): Billed {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    write5m: a.write5m + b.write5m,
    write1h: a.write1h + b.write1h,
    read: a.read + b.read,
    searches: a.searches + b.searches,
  }
}
