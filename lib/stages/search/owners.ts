// Which job, or which batch of a job, has which id of the API.
import type { StoredJob } from '../../store/job.ts'

/** Batch ids that belong to other jobs. */
export type OwnedElsewhere = () => Promise<ReadonlySet<string>>

/** Batch ids of other jobs, according to their journals and the ledger. */
export async function ownedByOthers(
  job: StoredJob,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<ReadonlySet<string>> {
  return new Set([
    ...((await ownedElsewhere?.()) ?? []),
    ...((await job.shared?.ownedElsewhere()) ?? []),
  ])
}

/** Ids of the job's batches whose results have shown that they are right, and the id that this batch has had so far. */
export function verifiedIds(job: StoredJob, number: number): ReadonlySet<string> {
  const ids = [...job.state.batches.values()].flatMap(batch =>
    batch.number === number || batch.fetched !== null ? (batch.id ?? []) : [],
  )
  return new Set(ids)
}
