import type { Result } from '../core/results/result.ts'
import {
  addTokens,
  costByClass,
  costOf,
  costsOf,
  isUsable,
  lacksOutput,
  tokensOf,
  type Billed,
  type Tokens,
} from './cost.ts'
import type { PriceOf } from './price.ts'
import { showUsd } from './usd.ts'

const NOTHING: Billed = { input: 0n, output: 0n, write5m: 0n, write1h: 0n, read: 0n, searches: 0n }

/** The cost of answers by class, as billed and as synchronous calls. Answers without a known price are left out of both. */
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
    this.#batch = addBilled(this.#batch, cost.batch)
    this.#synchronous = addBilled(this.#synchronous, cost.synchronous)
  }

  /** In femtodollars. */
  get batch(): Billed {
    return this.#batch
  }

  get synchronous(): Billed {
    return this.#synchronous
  }
}

function addBilled(a: Billed, b: Billed): Billed {
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

/** Bounds on the named models without a price, since answers could name any number of them. */
const MAX_UNPRICED = 10
const MAX_NAME = 100

/** What is entered for an answer. */
export type LedgerEntry = Pick<Result, 'usage' | 'model'> &
  Partial<Pick<Result, 'savedUsage' | 'isBilled' | 'isEarlier' | 'status'>>

/**
 * Cost ledger for all answers of a job. It counts every line that the API sent, including each try of a retried record and
 * the answers of a canceled batch.
 */
export class CostLedger {
  readonly #priceOf: PriceOf
  readonly #unknown = new Set<string>()
  #tokens = NONE
  #spent = 0n
  #synchronous = 0n
  #saved: bigint | undefined = 0n
  /** Billed answers whose usage does not say what was billed. */
  #unmeasured = 0

  constructor(priceOf: PriceOf) {
    this.#priceOf = priceOf
  }

  /** Adds an answer. One without usage cost nothing, unless it was billed: then its cost is unknown. */
  add(entry: LedgerEntry): void {
    if (entry.isEarlier) return
    const { usage, model, savedUsage, isBilled = false, status } = entry
    if (savedUsage) this.#save(costOf(savedUsage, model ?? '', this.#priceOf))
    if (!usage) {
      if (isBilled) this.#unmeasured += 1
      return
    }
    const tokens = tokensOf(usage)
    this.#tokens = addTokens(this.#tokens, tokens)
    const isMeasured = isUsable(usage) && !lacksOutput(tokens, status)
    const costs = isMeasured ? costsOf(usage, model ?? '', this.#priceOf) : undefined
    if (!isMeasured) this.#unmeasured += 1
    else if (costs === undefined && this.#unknown.size < MAX_UNPRICED)
      this.#unknown.add(model?.slice(0, MAX_NAME) ?? 'a model without a name')
    this.#spent += costs?.batch ?? 0n
    this.#synchronous += costs?.synchronous ?? 0n
  }

  #save(cost: bigint | undefined): void {
    this.#saved = cost === undefined || this.#saved === undefined ? undefined : this.#saved + cost
  }

  /** What reused answers had cost the jobs that asked for them, in femtodollars; undefined where a price is unknown. */
  get saved(): bigint | undefined {
    return this.#saved
  }

  get tokens(): Tokens {
    return this.#tokens
  }

  get #isKnown(): boolean {
    return this.#unknown.size === 0 && this.#unmeasured === 0
  }

  /** The total cost in femtodollars; undefined if that of any answer is unknown. */
  get spent(): bigint | undefined {
    return this.#isKnown ? this.#spent : undefined
  }

  /** The cost of the same answers as synchronous calls. */
  get synchronous(): bigint | undefined {
    return this.#isKnown ? this.#synchronous : undefined
  }

  /** The first few models whose price is unknown. */
  get unpriced(): readonly string[] {
    return [...this.#unknown]
  }

  /** The number of billed answers whose usage does not say what was billed. */
  get unmeasured(): number {
    return this.#unmeasured
  }

  toString(): string {
    const { spent, synchronous } = this
    if (spent === undefined || synchronous === undefined) {
      const reasons = [
        ...(this.#unmeasured > 0 ? [`cost unknown: ${unmeasuredText(this.#unmeasured)}`] : []),
        ...(this.#unknown.size > 0 ? [priceUnknown(this.unpriced)] : []),
      ]
      return reasons.join('; ')
    }
    return `spent ${showUsd(spent)} (synchronous calls: ${showUsd(synchronous)})`
  }
}

/** The message in place of dollars. */
export function priceUnknown(models: readonly string[]): string {
  return `price unknown for ${models.join(', ')}: give it with \`price\``
}

/** Why the cost of answers is unknown although their prices are known. */
export function unmeasuredText(answers: number): string {
  return `${answers} ${answers === 1 ? 'answer has' : 'answers have'} no valid token counts`
}
