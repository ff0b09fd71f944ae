import { Transform } from 'node:stream'
import type { SourceRecord } from '../flow.ts'
import type { Cap } from '../money/cap.ts'
import { typed, type Stage } from '../stage.ts'

/** Lets records go until a cap has stopped the run; what comes later stays kept, and is asked when the job goes on. */
export function untilStopped(cap: Pick<Cap, 'stopped'>): Stage<SourceRecord, SourceRecord> {
  return typed(
    new Transform({
      objectMode: true,
      transform(record: SourceRecord, _encoding, done) {
        if (cap.stopped === undefined) done(null, record)
        else done()
      },
    }),
  )
}
