import type { StoredJob } from '../store/job.ts'
import { areResultsLost } from '../stages/results/download.ts'
import { storedResults } from '../store/results/stored-results.ts'
import { lines } from '../store/body-lines.ts'
import { Cap, type CapOptions } from './cap.ts'
import { CostLedger } from '../cost/ledger.ts'
import type { PriceOf } from '../cost/price.ts'
import { worstOf, type PricedRequest, type Unbounded } from '../cost/worst.ts'

const PARAMS = '"params":'

/** A cap on the total cost of a job, based on its files. */
export function capOf(
  job: StoredJob,
  most: bigint,
  priceOf: PriceOf,
  { drains = true, ask }: Pick<CapOptions, 'drains' | 'ask'> = {},
): Cap {
  // Of the batches that this process sends; the bodies of others are gone.
  const asked = new Map<number, Set<string>>()
  return new Cap({
    job,
    most,
    drains,
    ask,
    worstOf: async number => {
      const models = new Set<string>()
      asked.set(number, models)
      return await worstOfBatch(job, number, priceOf, models)
    },
    spentOn: number => spentOnShared(job, number, priceOf, asked.get(number)),
  })
}

/** The worst-case cost of a sealed batch: the sum over the requests in its body, whose models are added to `models`. */
export async function worstOfBatch(
  job: StoredJob,
  number: number,
  priceOf: PriceOf,
  models?: Set<string>,
): Promise<bigint | Unbounded> {
  let sum = 0n
  for await (const line of lines(job, number)) {
    const text = line.toString('utf8')
    // A custom_id contains no quotes, so the first such key is the request's own.
    const json = text.slice(text.indexOf(PARAMS) + PARAMS.length, -1)
    const params: PricedRequest = JSON.parse(json)
    const worst = worstOf(params, json, priceOf)
    if (typeof worst !== 'bigint') return worst
    models?.add(params.model)
    sum += worst
  }
  return sum
}

/**
 * The amount billed for a fetched batch; undefined if the cost of an answer is unknown. With the models that it asks for, it is also
 * unknown if an answer names one with another price: a gateway may have written that.
 */
export async function spentOnBatch(
  job: Pick<StoredJob, 'store' | 'batch'>,
  number: number,
  priceOf: PriceOf,
  models?: ReadonlySet<string>,
): Promise<bigint | undefined> {
  const ledger = new CostLedger(priceOf)
  const prices = models && new Set([...models].map(model => ratesText(model, priceOf)))
  let isOther = false
  for await (const result of storedResults(job.store, job.batch(number))) {
    ledger.add(result)
    const { usage, model } = result
    isOther ||= prices !== undefined && usage !== null && !prices.has(ratesText(model, priceOf))
  }
  return isOther ? undefined : ledger.spent
}

/** The rates of a model, to compare: a dated snapshot has those of its model. */
function ratesText(model: string | null, priceOf: PriceOf): string {
  const price = priceOf(String(model))
  return price ? `${price.rates.input} ${price.rates.output}` : 'unknown'
}

/** The amount for `CapOptions.spentOn`. If results may be on another machine's disk, the settled amount counts. */
async function spentOnShared(
  job: StoredJob,
  number: number,
  priceOf: PriceOf,
  models: ReadonlySet<string> | undefined,
): Promise<bigint | null | undefined> {
  const settled = (await job.shared?.settled())?.get(number)
  if (settled !== undefined) return settled
  if (await areResultsLost(job, number)) return undefined
  return (await spentOnBatch(job, number, priceOf, models)) ?? null
}
