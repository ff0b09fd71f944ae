import type { JobOnDisk } from '../store/inspect.ts'
import { Ledger } from '../cost/ledger.ts'
import type { PriceOf } from '../cost/price.ts'
import { eachKeptAnswer } from '../store/results/kept-answers.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { JsonSchema } from '../core/schema/load.ts'
import { Tally } from './tally.ts'

export interface RowsSoFar {
  readonly tally: Tally
  readonly ledger: Ledger
}

/** Counts the answers that are here, read from the kept result sets: of each record the newest, but the money of all. */
export async function rowsSoFar(
  job: JobOnDisk,
  priceOf: PriceOf,
  schema: JsonSchema | undefined,
): Promise<RowsSoFar> {
  const newest = new Tally()
  const ledger = new Ledger(priceOf)
  await eachKeptAnswer(job, schema && answerCheck(schema), (result, { isNewest, ordinal }) => {
    ledger.add(result)
    if (isNewest) newest.add(result, ordinal)
  })
  return { tally: newest, ledger }
}
