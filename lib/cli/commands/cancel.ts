import { counted } from '../shown.ts'
import type { Api } from '../../api/api.ts'
import type { RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError, type ErrorCode } from '../../core/errors.ts'
import { hasBatchesIn, type BatchState, type JobState } from '../../core/job/state.ts'
import { ApiSession } from '../../core/session.ts'
import { clientOf } from '../client.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { apiFor } from '../free-call.ts'
import { whyAnother } from '../../stages/search/search.ts'
import type { SoundJob } from '../../store/inspect.ts'
import { isLocked } from '../../store/lock.ts'
import { hasUnsent } from '../job-work.ts'
import { jobNamed, rememberedBy } from '../remembered.ts'
import { stateDir } from '../state-dir.ts'

const REFUSED = 'nothing was canceled'

/** Cancels batches at the API. What they have answered by then is billed, and `resume` fetches it as usual. */
export async function cancel(context: Context): Promise<Ending> {
  const [name = ''] = context.flags.args
  return name.startsWith('msgbatch_')
    ? await cancelBatch(context, name)
    : await cancelJob(context, name)
}

async function cancelBatch(context: Context, id: string): Promise<Ending> {
  const client = await clientOf(context.flags, context.io)
  await confirm(context, `cancel batch ${id}?`, REFUSED)
  const batch = await apiFor(context, client, sessionOf(context, id)).cancel(id)
  if (!batch)
    throw new BatchStreamError(
      'CBS_INPUT',
      `the API does not know batch ${id} in this key's workspace`,
    )
  if (batch.processing_status === 'in_progress')
    throw new BatchStreamError('CBS_API', `${id} is still in progress: run \`cancel\` again`)
  context.talk.info(`${id}: ${batch.processing_status}`)
  return { code: EXIT.answered }
}

/** Does not lock the job, which may be waiting for these batches in another terminal. */
async function cancelJob(context: Context, name: string): Promise<Ending> {
  const { flags, io, talk } = context
  const found = await jobNamed(stateDir(flags, io.env), name)
  const { run } = rememberedBy(found)
  const batches = [...found.state.batches.values()]
  const inFlight = batches.filter(({ phase, id }) => phase === 'submitted' && id !== null)
  const unknown = batches.filter(({ phase }) => phase === 'armed').map(({ number }) => number)
  if (inFlight.length === 0 && unknown.length === 0) {
    talk.info(`job ${name}: there is nothing to cancel`)
    return { code: EXIT.answered }
  }
  const next = { words: ['resume', name, ...context.placeFlags] }
  context.nextIs(() => next)
  if (inFlight.length === 0) throw mayRun(unknown)
  const client = await clientOf(flags, io, { job: run, talk })
  const which = counted(inFlight.length, 'batch', 'batches')
  await confirm(context, `cancel ${which} of job ${name}?`, REFUSED)
  const api = apiFor(context, client, sessionOf(context, name, found.state))
  const failures: Failed[] = []
  const cancelAll = async (wanted: readonly BatchState[], tries?: number): Promise<void> => {
    const unreached: BatchState[] = []
    for (const batch of wanted) {
      const outcome = await canceled(api, batch, tries)
      if ('status' in outcome) talk.info(`${batch.id}: ${outcome.status}`)
      else if (outcome.code === 'CBS_API' && tries !== undefined) unreached.push(batch)
      else failures.push(outcome)
    }
    if (unreached.length > 0) await cancelAll(unreached)
  }
  await cancelAll(inFlight, FEW_TRIES)
  await reportRest(context, found)
  const [first] = failures
  if (!first && unknown.length > 0) throw mayRun(unknown)
  if (!first) return { code: EXIT.answered, next }
  const ours = failures.some(({ code }) => code !== OTHER)
  const hint = ours
    ? 'run `cancel` again'
    : "`resume` finds the job's own; `cancel ID` cancels any batch"
  throw new BatchStreamError(
    first.code,
    `${failures.map(({ why }) => why).join('; ')}. ${counted(failures.length, 'batch was', 'batches were')} not canceled: ${hint}`,
  )
}

/** The error for batches whose creates have an unknown outcome. */
function mayRun(numbers: readonly number[]): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the API may have batch ${numbers.join(', ')} of the job, whose create got no reply: \`resume\` finds out, and \`cancel\` can cancel it then`,
  )
}

/** Why a batch was not canceled. */
interface Failed {
  readonly code: ErrorCode
  readonly why: string
}

/** So often a batch is tried before the others have had their turn: they cost money for as long as they run. */
const FEW_TRIES = 2

/** The code for a batch that is not the job's. */
const OTHER = 'CBS_STOPPED'

/** Cancels a batch. One that fails does not keep the others running. */
async function canceled(
  api: Api,
  batch: BatchState,
  tries?: number,
): Promise<Failed | { readonly status: RemoteBatch['processing_status'] }> {
  // Those in flight have one.
  const id = batch.id as string
  try {
    const remote = await api.retrieve(id, tries)
    // A broken cache may have answered a create with the id of another batch.
    const other = remote && whyAnother(batch, remote)
    if (other !== undefined)
      return {
        code: OTHER,
        why: `${id}, the id of batch ${batch.number}, ${other}: it is another batch`,
      }
    if (remote?.processing_status === 'ended') return { status: 'ended' }
    const after = await api.cancel(id, tries)
    if (!after)
      return { code: 'CBS_API', why: `the API does not know ${id}${elsewhere(api, batch)}` }
    const status = after.processing_status
    if (status === 'in_progress') return { code: 'CBS_API', why: `${id} is still in progress` }
    return { status }
  } catch (cause) {
    if (!(cause instanceof BatchStreamError) || cause.code === 'CBS_ACCESS') throw cause
    // It may have ended meanwhile.
    const now = await api.retrieve(id, tries).catch(() => undefined)
    if (now?.processing_status === 'ended') return { status: 'ended' }
    return { code: cause.code, why: cause.message }
  }
}

/** A gateway may have created some batches of a job in another workspace. */
function elsewhere({ session: { namedWorkspace } }: Api, { armed }: BatchState): string {
  const sentTo = armed?.by?.workspace
  if (sentTo === undefined || namedWorkspace === undefined || sentTo === namedWorkspace) return ''
  return `, which was sent to workspace ${sentTo}, while this key belongs to ${namedWorkspace}`
}

/** Says what canceling does not stop. */
async function reportRest(
  { talk, held }: Context,
  { name, folder, state }: SoundJob,
): Promise<void> {
  if (held?.has(name) || (await isLocked(folder))) {
    talk.warn(
      `a process is working on job ${name} and continues to submit: stop it, then run \`cancel\` again`,
    )
    return
  }
  if (hasUnsent(state))
    talk.info(
      `job ${name} has records that were not sent: \`resume\` sends them, \`resume --abandon\` ends the job without them`,
    )
}

/** With a key of another workspace the batches would appear deleted. */
function sessionOf({ io }: Context, name: string, state?: JobState): ApiSession {
  return new ApiSession(io.clock, {
    name,
    workspace: () => state?.workspace ?? null,
    hasBatchesIn: workspace => state !== undefined && hasBatchesIn(state, workspace),
    remember: async () => {},
  })
}
