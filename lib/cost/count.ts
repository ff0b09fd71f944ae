import type { Result } from '../core/results/result.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { Ledger } from './ledger.ts'

/** Enters each answer into the books and gives it on; it stands before retry, so that every try is counted. */
export function counted(ledger: Ledger): Stage<Result, Result> {
  return typed(
    new StageTransform({
      objectMode: true,
      transform(result: Result, _encoding, done) {
        ledger.add(result)
        done(null, result)
      },
    }),
  )
}
