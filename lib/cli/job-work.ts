// What is left to do in a job, by its journal.
import { join } from 'node:path'
import { nodeDisk } from '../store/disk.ts'
import type { JobOnDisk } from '../store/inspect.ts'
import { nextUnbatched, type BatchState, type JobState, type Phase } from '../core/job/state.ts'

/** The states that `list` and `status` show of a job that no process works on. */
export type Standing = 'damaged' | 'finished' | 'unfinished' | 'empty'

/** A job that is not finished and has nothing to finish is empty: its start failed, or its process died, before a record was read. */
export function standingOf({ state }: Pick<JobOnDisk, 'state'>): Standing {
  if (!state) return 'damaged'
  if (state.finished) return 'finished'
  return state.kept.records > 0 || batchesOf(state).length > 0 ? 'unfinished' : 'empty'
}

/** Is there something to resume? A folder without a card is what a crash left before anything was sent. */
export function isUnfinished(job: JobOnDisk): boolean {
  return job.card !== undefined && standingOf(job) === 'unfinished'
}

const IN_FLIGHT: readonly Phase[] = ['armed', 'submitted', 'ended']

/** Batches that the API has, or may have, and whose results are not here. */
export function inFlight(state: JobState): readonly BatchState[] {
  return batchesOf(state).filter(({ phase }) => IN_FLIGHT.includes(phase))
}

/** Whether records that the job has are still to be submitted, or to be answered by the API. */
export function hasWorkLeft(state: JobState): boolean {
  const isSealed = batchesOf(state).some(({ phase }) => phase === 'sealed')
  return isSealed || inFlight(state).length > 0 || nextUnbatched(state) < state.kept.records
}

/** Has the API never had, and never been offered, a batch of the job? */
export function isUnsent(state: JobState): boolean {
  return batchesOf(state).every(({ phase }) => phase === 'sealed')
}

/** Rows that were paid for and may not have been printed: those of an unfinished job, and of a retry that was interrupted. */
export async function hasUnprinted({
  folder,
  state,
}: Pick<JobOnDisk, 'folder'> & { readonly state: JobState }): Promise<boolean> {
  const isRetrying = (await nodeDisk.look(join(folder, RETRY_NOTE))) !== undefined
  if (state.finished && !isRetrying) return false
  return batchesOf(state).some(({ phase }) => phase === 'fetched')
}

/** The file that a job has while failed rows of it are retried. */
export const RETRY_NOTE = 'retry.json'

function batchesOf({ batches }: JobState): readonly BatchState[] {
  return [...batches.values()].filter(({ phase }) => phase !== 'void')
}
