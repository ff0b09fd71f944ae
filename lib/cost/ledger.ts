import type { Result } from '../core/results/result.ts'
import { costOf, synchronousCost, tokensOf, type Tokens, costByClass, type Billed } from './cost.ts'
import type { PriceOf } from './price.ts'
import { showUsd } from './usd.ts'

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

const NONE: Tokens = { input: 0, output: 0, write5m: 0, write1h: 0, read: 0 }

/** Models without a price that are named, and characters of a name: answers could name others without end. */
const MAX_UNPRICED = 10
const MAX_NAME = 100

/**
 * The books of a job: what every line that the API sent was billed. A record that was asked twice is in it twice, and so is
 * what a canceled batch had answered by then.
 */
export class Ledger {
  readonly #priceOf: PriceOf
  readonly #unknown = new Set<string>()
  #tokens = NONE
  #spent = 0n
  #synchronous = 0n

  constructor(priceOf: PriceOf) {
    this.#priceOf = priceOf
  }

  /** Takes in one answer; where there is no usage nothing was billed. */
  add({ usage, model }: Pick<Result, 'usage' | 'model'>): void {
    if (!usage) return
    this.#tokens = sum(this.#tokens, tokensOf(usage))
    const cost = costOf(usage, model ?? '', this.#priceOf)
    if (cost === undefined && this.#unknown.size < MAX_UNPRICED)
      this.#unknown.add(model?.slice(0, MAX_NAME) ?? 'a model without a name')
    this.#spent += cost ?? 0n
    this.#synchronous += synchronousCost(usage, model ?? '', this.#priceOf) ?? 0n
  }

  get tokens(): Tokens {
    return this.#tokens
  }

  /** What all of it cost, in femtodollars; undefined where the price of a part is unknown. */
  get spent(): bigint | undefined {
    return this.#unknown.size === 0 ? this.#spent : undefined
  }

  /** What the same answers would have cost as synchronous calls. */
  get synchronous(): bigint | undefined {
    return this.#unknown.size === 0 ? this.#synchronous : undefined
  }

  /** The models whose price is unknown, the first few of them. */
  get unpriced(): readonly string[] {
    return [...this.#unknown]
  }

  toString(): string {
    const { spent, synchronous } = this
    if (spent === undefined || synchronous === undefined) return priceUnknown(this.unpriced)
    return `spent ${showUsd(spent)} (synchronous calls: ${showUsd(synchronous)})`
  }
}

/** What is said where there can be no dollars. */
export function priceUnknown(models: readonly string[]): string {
  return `price unknown for ${models.join(', ')}: --price IN,OUT gives it`
}

/** The tokens of two together, class by class. */
export function sum(a: Tokens, b: Tokens): Tokens {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    write5m: a.write5m + b.write5m,
    write1h: a.write1h + b.write1h,
    read: a.read + b.read,
  }
}
