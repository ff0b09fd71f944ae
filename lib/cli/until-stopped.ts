import { Transform } from 'node:stream'
import type { SourceRecord } from '../flow.ts'
import { typed, type Stage } from '../stage.ts'

/** Lets records go until the run has been stopped; what comes later stays kept, and is asked when the job goes on. */
export function untilStopped(isStopped: () => boolean): Stage<SourceRecord, SourceRecord> {
  return typed(
    new Transform({
      objectMode: true,
      transform(record: SourceRecord, _encoding, done) {
        if (isStopped()) done()
        else done(null, record)
      },
    }),
  )
}
