import type { Result } from '../core/results/result.ts'
import { ResultPage } from '../core/results/result-page.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { CostLedger } from './ledger.ts'

/** Adds each answer to the ledger and passes it on. It comes before retry, so that every try is counted. */
export function counted(ledger: CostLedger): Stage<Result, Result> {
  return typed(
    new StageTransform({
      objectMode: true,
      takesPages: true,
      transform(result: Result | ResultPage, _encoding, done) {
        if (result instanceof ResultPage)
          for (let index = 0; index < result.count; index++) ledger.add(result.counted(index))
        else ledger.add(result)
        done(null, result)
      },
    }),
  )
}
