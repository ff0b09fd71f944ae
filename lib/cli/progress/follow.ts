import type { StoredJob } from '../../store/job.ts'
import type { CostLedger } from '../../cost/ledger.ts'
import type { Context } from '../context.ts'
import { dollarsOf } from '../money.ts'
import type { Settings } from '../settings.ts'
import { startedOf, type ProgramEvent } from './report.ts'

/** What is followed. Without a ledger no costs are reported. */
export interface Followed {
  readonly job: StoredJob
  readonly ledger?: CostLedger | undefined
  readonly settings?: Settings
}

/** Reports the current state of a job, and then every event. */
export function follow(
  { watch }: Pick<Context, 'watch'>,
  { job, ledger, settings }: Followed,
): void {
  const tell = (event: ProgramEvent): void => {
    watch.write({ time: new Date(job.clock.now()).toISOString(), job: job.name, ...event })
  }
  watch.count(() => job.store.records.count)
  tell(startedOf(job.state, settings))
  job.on('event', event => {
    tell(event.type === 'columns' ? { type: event.type, count: event.names.length } : event)
    if (event.type === 'rows' && ledger)
      tell({ type: 'spent', ...dollarsOf(job, ledger, settings) })
  })
}
