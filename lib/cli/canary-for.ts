import type { StoredJob } from '../store/job.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import { Canary } from '../run/canary.ts'
import type { Settings } from './settings.ts'

/** The canary that the flags ask for, if any. */
export function canaryFor(
  job: StoredJob,
  { canary: records, schema }: Settings,
  drains: boolean,
): Canary | undefined {
  if (records === undefined) return undefined
  return new Canary({ job, records, drains, check: schema && answerCheck(schema) })
}
