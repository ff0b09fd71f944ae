import { counted } from '../shown.ts'
import type Anthropic from '@anthropic-ai/sdk'
import { Api } from '../../api/api.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { ApiSession } from '../../core/session.ts'
import { clientOf } from '../client.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { whyAnother } from '../../stages/search/search.ts'
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
  const batch = await apiFor(context, client, id, null).cancel(id)
  if (!batch)
    throw new BatchStreamError(
      'CBS_INPUT',
      `the API does not know batch ${id} in this key's workspace`,
    )
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
  for (const { number, phase } of batches)
    if (phase === 'armed')
      talk.warn(
        `batch ${number} may or may not be at the API: run \`resume\` to find out, then cancel it`,
      )
  if (inFlight.length === 0) {
    talk.info(`job ${name}: there is nothing to cancel`)
    return { code: EXIT.answered }
  }
  const client = await clientOf(flags, io, { job: run })
  const which = counted(inFlight.length, 'batch', 'batches')
  await confirm(context, `cancel ${which} of job ${name}?`, REFUSED)
  const api = apiFor(context, client, name, found.state.workspace)
  const next = { words: ['resume', name, ...context.placeFlags] }
  const others: string[] = []
  for (const batch of inFlight) {
    // Those in flight have one.
    const id = batch.id as string
    const remote = await api.retrieve(id)
    // A broken cache may have answered a create with the id of another batch.
    const why = remote && whyAnother(batch, remote)
    if (why === undefined) talk.info(`${id}: ${await stateAfter(api, id)}`)
    else others.push(`${id}, the id of batch ${batch.number}, ${why}`)
  }
  if (others.length === 0) return { code: EXIT.answered, next }
  context.nextIs(() => next)
  throw new BatchStreamError(
    'CBS_STOPPED',
    `${others.join('; ')}: it is another batch and was not canceled. \`resume\` finds the job's own; \`cancel ID\` cancels any batch`,
  )
}

function apiFor(
  { io, signal }: Context,
  client: Anthropic,
  name: string,
  workspace: string | null,
): Api {
  // With a key of another workspace the batches would appear deleted.
  const owner = { name, workspace: () => workspace, remember: async () => {} }
  return new Api({ client, session: new ApiSession(io.clock, owner), signal })
}

async function stateAfter(api: Api, id: string): Promise<string> {
  return (await api.cancel(id))?.processing_status ?? 'the API does not know it'
}
