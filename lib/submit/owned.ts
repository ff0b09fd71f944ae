import type { Job } from '../job/job.ts'

/** Ids of the batches that the API has made for a job, by its journal. */
export function ownedBy(job: Job): string[] {
  return [...job.state.batches.values()].map(batch => batch.id).filter(id => id !== null)
}
