import type { StoredJob } from '../store/job.ts'
import { areResultsLost } from '../stages/results/download.ts'
import { storedResults } from '../store/results/stored-results.ts'
import { lines } from '../store/body-lines.ts'
import { Cap, type CapOptions } from './cap.ts'
import { CostLedger } from '../cost/ledger.ts'
import type { PriceOf } from '../cost/price.ts'
import { worstOf, type Unbounded } from '../cost/worst.ts'

const PARAMS = '"params":'

/** A cap on the total cost of a job, based on its files. */
export function capOf(
  job: StoredJob,
  most: bigint,
  priceOf: PriceOf,
  { drains = true, ask }: Pick<CapOptions, 'drains' | 'ask'> = {},
): Cap {
  return new Cap({
    job,
    most,
    drains,
    ask,
    worstOf: number => worstOfBatch(job, number, priceOf),
    spentOn: number => spentOnShared(job, number, priceOf),
  })
}

/** The worst-case cost of a sealed batch: the sum over the requests in its body. */
export async function worstOfBatch(
  job: StoredJob,
  number: number,
  priceOf: PriceOf,
): Promise<bigint | Unbounded> {
  let sum = 0n
  for await (const line of lines(job, number)) {
    const text = line.toString('utf8')
    // A custom_id contains no quotes, so the first such key is the request's own.
    const json = text.slice(text.indexOf(PARAMS) + PARAMS.length, -1)
    const worst = worstOf(JSON.parse(json), json, priceOf)
    if (typeof worst !== 'bigint') return worst
    sum += worst
  }
  return sum
}

/** The amount billed for a fetched batch; undefined if the cost of an answer is unknown. */
export async function spentOnBatch(
  job: Pick<StoredJob, 'store' | 'batch'>,
  number: number,
  priceOf: PriceOf,
): Promise<bigint | undefined> {
  const ledger = new CostLedger(priceOf)
  for await (const result of storedResults(job.store, job.batch(number))) ledger.add(result)
  return ledger.spent
}

/** The amount for `CapOptions.spentOn`. If results may be on another machine's disk, the settled amount counts. */
async function spentOnShared(
  job: StoredJob,
  number: number,
  priceOf: PriceOf,
): Promise<bigint | null | undefined> {
  const settled = (await job.shared?.settled())?.get(number)
  if (settled !== undefined) return settled
  if (await areResultsLost(job, number)) return undefined
  return (await spentOnBatch(job, number, priceOf)) ?? null
}
