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
  const unknown = await cancelAll(context, client, [id], id, null)
  if (unknown.length > 0)
    throw new BatchStreamError(
      'CBS_INPUT',
      `the API does not know batch ${id} in this key's workspace`,
    )
  return { code: EXIT.answered }
}

/** Does not lock the job, which may be waiting for these batches in another terminal. */
async function cancelJob(context: Context, name: string): Promise<Ending> {
  const { flags, io, talk } = context
  const found = await jobNamed(stateDir(flags, io.env), name)
  const { run } = rememberedBy(found)
  const batches = [...found.state.batches.values()]
  const ids = batches.flatMap(({ phase, id }) => (phase === 'submitted' && id !== null ? [id] : []))
  for (const { number, phase } of batches)
    if (phase === 'armed')
      talk.warn(
        `batch ${number} may or may not be at the API: run \`resume\` to find out, then cancel it`,
      )
  if (ids.length === 0) {
    talk.info(`job ${name}: there is nothing to cancel`)
    return { code: EXIT.answered }
  }
  const client = await clientOf(flags, io, { job: run })
  const which = counted(ids.length, 'batch', 'batches')
  await confirm(context, `cancel ${which} of job ${name}?`, REFUSED)
  const unknown = await cancelAll(context, client, ids, name, found.state.workspace)
  for (const id of unknown) talk.info(`${id}: the API does not know it`)
  return { code: EXIT.answered, next: { words: ['resume', name, ...context.placeFlags] } }
}

/** Returns the ids that the API does not know. */
async function cancelAll(
  context: Context,
  client: Anthropic,
  ids: readonly string[],
  name: string,
  workspace: string | null,
): Promise<readonly string[]> {
  // With a key of another workspace the batches would appear deleted.
  const owner = { name, workspace: () => workspace, remember: async () => {} }
  const session = new ApiSession(context.io.clock, owner)
  const api = new Api({ client, session, signal: context.signal })
  const unknown: string[] = []
  for (const id of ids) {
    const batch = await api.cancel(id)
    if (batch) context.talk.info(`${id}: ${batch.processing_status}`)
    else unknown.push(id)
  }
  return unknown
}
