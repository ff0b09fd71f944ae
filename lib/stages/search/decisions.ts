// What only the user can decide: which batch of the API is a batch of the job whose ids were chosen.
import type { RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { isRuledOut, openCandidates, type BatchState } from '../../core/job/state.ts'
import type { StoredJob } from '../../store/job.ts'

/** The decision that none of the batches that were named is this one. */
export const NONE = 'none'

/** Ended batches with the ids of the batch that was searched for. The user chose these ids, so only the user can decide. */
export interface Undecided {
  readonly undecided: readonly RemoteBatch[]
}

/**
 * Whether the user has decided that the API does not have a batch, after an earlier run has said that only they can: a decision about one
 * batch must not count for another one, whose create fails later.
 */
export function isDecided({ asked }: BatchState, adopt: readonly string[]): boolean {
  return asked === true && adopt.includes(NONE)
}

/**
 * Runs a call that fails with `CBS_API` or `CBS_ACCESS` if only the user can decide whether the API has a batch. Then submission stops,
 * and the batch counts as named if the run ends with this error.
 */
export async function asking<T>(
  { job, number, adopt = [] }: Asked,
  call: () => T | Promise<T>,
): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    if (!isOfApi(cause) || job.lost.aborted) throw cause
    const isIgnored = adopt.includes(NONE) && !isDecided(job.batch(number), adopt)
    const error = isIgnored ? notCounted(cause) : cause
    job.queue.stop(error)
    const reason = job.queue.stopReason
    if (reason === error) questions.add(error)
    else if (reason && questions.has(reason))
      reason.message = `${reason.message}; the same holds for batch ${number}`
    // Durable, since a later decision counts only for what was named.
    if (reason && questions.has(reason)) await job.note({ type: 'asked', number }, true)
    throw error
  }
}

/** The errors that ask for a decision. Those of other batches are added to the one with which the run ends. */
const questions = new WeakSet<BatchStreamError>()

function notCounted(cause: BatchStreamError): BatchStreamError {
  const { code, message, option } = cause
  const more =
    "this run's `adopt`: none did not count for this create, which no earlier run had named"
  return new BatchStreamError(code, `${message}; ${more}`, { cause, option })
}

/** What a decision is about. */
interface Asked {
  readonly job: StoredJob
  readonly number: number
  readonly adopt?: readonly string[] | undefined
}

/** Whether the API, or what is between, is the cause of an error. */
export function isOfApi(cause: unknown): cause is BatchStreamError {
  return (
    cause instanceof BatchStreamError && (cause.code === 'CBS_API' || cause.code === 'CBS_ACCESS')
  )
}

/**
 * Rejects decisions that name several batches of the API for one batch of the job.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function mustBeOne({ number, candidates }: BatchState, adopt: readonly string[]): void {
  // Others may be candidates by their count alone.
  const ids = [...new Set(adopt)].filter(id => candidates[id] === 'named')
  if (ids.length > 1)
    throw new BatchStreamError(
      'CBS_OPTION',
      `\`adopt\` has ${ids.join(' and ')}, but batch ${number} is only one of them: name that one`,
      { option: 'adopt' },
    )
}

/**
 * Rejects a decision for a batch that an earlier one ruled out, if that has had effects.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function mustBePossible(batches: Iterable<BatchState>, adopt: readonly string[]): void {
  const all = [...batches]
  for (const id of adopt) {
    if (all.some(batch => batch.id === id || mayAdopt(batch, id))) continue
    const batch = all.find(({ candidates }) => isRuledOut(candidates[id]))
    if (!batch) continue
    const since =
      batch.candidates[id] === 'replaced'
        ? 'which has been sent again since'
        : batch.phase === 'void'
          ? 'which has been split since'
          : 'whose rows are final'
    throw new BatchStreamError(
      'CBS_OPTION',
      `\`adopt\` has ${id}, but that was ruled out for batch ${batch.number}, ${since}: \`claude-batch-stream results ${id}\` prints its answers`,
      { option: 'adopt' },
    )
  }
}

/** Whether a batch may be this batch of the API, or may be so again if the user takes a decision back. */
function mayAdopt(batch: BatchState, id: string): boolean {
  if (openCandidates(batch).includes(id)) return true
  return batch.candidates[id] === 'ruledOut' && batch.fetched === null && batch.phase !== 'void'
}

/** Whether the user has given up a batch whose id is another batch's, after an earlier run has named it. */
export function isGivenUp({ id, candidates }: BatchState, adopt: readonly string[]): boolean {
  return adopt.includes(NONE) && id !== null && candidates[id] === 'named'
}

/**
 * Leaves a batch to the user's decision: submission stops, and the run ends with the reason. If it has stopped for another
 * reason, `onWait` is called with this one. Returns the reason.
 */
export async function leaveUndecided(
  job: StoredJob,
  number: number,
  { undecided }: Undecided,
  onWait: (why: string) => void,
): Promise<BatchStreamError> {
  // Durable, since a later decision for none of them counts only for what was named.
  for (const { id } of undecided)
    await job.note({ type: 'candidate', number, id, named: true }, true)
  const ids = undecided.map(({ id }) => id)
  const reason = new BatchStreamError('CBS_STOPPED', undecidedMessage(job, number, undecided), {
    option: 'adopt',
  })
  if (job.queue.stopReason) onWait(reason.message)
  job.queue.leaveUndecided(number, ids, reason)
  return reason
}

function undecidedMessage(
  job: StoredJob,
  number: number,
  undecided: readonly RemoteBatch[],
): string {
  const { id, phase } = job.batch(number)
  const why =
    id === null
      ? `it is unknown whether the API accepted batch ${number}`
      : phase === 'ended'
        ? `the results of ${id}, the id of batch ${number}, are not those of its requests`
        : `the API does not know ${id}, the id of batch ${number}`
  const named = undecided.map(
    one => `${one.id} (created ${new Date(one.created_at).toISOString()})`,
  )
  const whose = named.length === 1 ? 'it has' : 'they have'
  const none = id === null ? `none, which sends batch ${number}` : 'none if it is another one'
  return `${why}. It may be ${named.join(' or ')}: ${whose} the same custom_ids, but ids chosen with \`id\` do not show which job sent them, so nothing more is sent. Decide with \`adopt\`: the id of the batch that belongs to job ${job.name}, or ${none}`
}
