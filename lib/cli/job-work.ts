// What is left to do in a job, according to its journal.
import { IN_LEDGER, type JobOnDisk, type SoundJob } from '../store/inspect.ts'
import { nextUnbatched, type BatchState, type JobState, type Phase } from '../core/job/state.ts'

/** The state that `list` and `status` show for a job that no process works on. */
export type JobStatus = 'damaged' | 'in ledger' | 'finished' | 'unfinished' | 'empty'

/** A job with nothing to finish is empty: its start failed, or its process died, before a record was read. */
export function statusOf({ state, trouble }: Pick<JobOnDisk, 'state' | 'trouble'>): JobStatus {
  if (!state) return trouble === IN_LEDGER ? 'in ledger' : 'damaged'
  if (state.finished) return 'finished'
  return state.spooled.records > 0 || batchesOf(state).length > 0 ? 'unfinished' : 'empty'
}

/** Whether there is something to resume. A folder without a card was left by a crash before anything was sent. */
export function isUnfinished(job: JobOnDisk): boolean {
  return job.card !== undefined && statusOf(job) === 'unfinished'
}

const IN_FLIGHT: readonly Phase[] = ['armed', 'submitted', 'ended']

/** Batches that the API has, or may have, and whose results are not stored. */
export function inFlight(state: JobState): readonly BatchState[] {
  return batchesOf(state).filter(({ phase }) => IN_FLIGHT.includes(phase))
}

/** Whether some records of the job still have to be submitted. */
export function hasUnsent(state: JobState): boolean {
  const isSealed = batchesOf(state).some(({ phase }) => phase === 'sealed')
  return isSealed || nextUnbatched(state) < state.spooled.records
}

/** Whether some records of the job still have to be submitted or answered. */
export function hasWorkLeft(state: JobState): boolean {
  return hasUnsent(state) || inFlight(state).length > 0
}

/** Whether no batch of the job was ever sent or partly sent. */
export function isUnsent(state: JobState): boolean {
  return batchesOf(state).every(({ phase }) => phase === 'sealed')
}

/** Whether paid rows may not have been printed: those of an unfinished job or of an interrupted retry. */
export function hasUnprinted({ card, state }: Pick<SoundJob, 'card' | 'state'>): boolean {
  if (state.finished && card?.retry === undefined) return false
  return batchesOf(state).some(({ phase }) => phase === 'fetched')
}

function batchesOf({ batches }: JobState): readonly BatchState[] {
  return [...batches.values()].filter(({ phase }) => phase !== 'void')
}
