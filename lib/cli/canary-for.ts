import type { StoredJob } from '../store/job.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import { Canary } from '../run/canary.ts'
import type { Settings } from './settings.ts'

/** The canary that the flags ask for, if any. `continues`: the user goes on after the warning of an earlier run. */
export function canaryFor(
  job: StoredJob,
  { canary: records, schema }: Settings,
  drains: boolean,
  continues: boolean,
): Canary | undefined {
  if (records === undefined) return undefined
  return new Canary({ job, records, drains, continues, check: schema && answerCheck(schema) })
}
