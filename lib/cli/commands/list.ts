import { Api } from '../../api/api.ts'
import type { RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { countOf } from '../../core/job/event.ts'
import { nodeDisk } from '../../store/disk.ts'
import { inspectJobs, type JobOnDisk } from '../../store/inspect.ts'
import { ApiSession } from '../../core/session.ts'
import { MAX_LIST_PAGES } from '../../core/limits.ts'
import { clientOf } from '../client.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { standingOf } from '../job-work.ts'
import { stateDir } from '../state-dir.ts'
import { printable } from '../shown.ts'

/** Jobs on this machine, or the batches of the workspace. */
export async function list(context: Context): Promise<Ending> {
  const { flags, io } = context
  if (flags.has('remote')) return await listRemote(context)
  const jobs = await inspectJobs(nodeDisk, stateDir(flags, io.env))
  for (const job of jobs)
    await print(
      io.stdout,
      flags.has('json') ? `${JSON.stringify(summary(job))}\n` : `${line(job)}\n`,
    )
  return { code: EXIT.answered }
}

/** One job as JSON says it. */
function summary(job: JobOnDisk): Record<string, unknown> {
  return {
    job: job.name,
    state: standingOf(job),
    created_at: job.card?.created_at ?? null,
    ...(job.state?.shard && { shard: job.state.shard }),
    records: job.state?.kept.records ?? null,
    batches: job.state?.batches.size ?? null,
  }
}

function line(job: JobOnDisk): string {
  const { state } = job
  const parts = [job.name.padEnd(18), standingOf(job).padEnd(10)]
  if (state?.shard) parts.push(`shard ${state.shard.index}/${state.shard.count}`)
  if (state) parts.push(`${state.kept.records} records, ${state.batches.size} batches`)
  return parts.join('  ').trimEnd()
}

async function listRemote({ flags, io, signal }: Context): Promise<Ending> {
  const client = await clientOf(flags, io)
  const api = new Api({ client, session: new ApiSession(io.clock), signal })
  const cursors = new Set<string>()
  let after: string | undefined
  for (;;) {
    const page = await api.list(after)
    for (const batch of page.data) await print(io.stdout, remoteLine(batch, flags.has('json')))
    if (!page.has_more || page.last_id === null) return { code: EXIT.answered }
    after = page.last_id
    if (cursors.has(after) || cursors.size === MAX_LIST_PAGES)
      throw new BatchStreamError(
        'CBS_API',
        `the list of batches has no end: it comes to ${after} again`,
      )
    cursors.add(after)
  }
}

function remoteLine(batch: RemoteBatch, json: boolean): string {
  if (json) return `${JSON.stringify(batch)}\n`
  const { id, processing_status, created_at, request_counts } = batch
  const requests = `${countOf(request_counts)} requests`
  return `${printable([id, processing_status.padEnd(11), created_at, requests].join('  '))}\n`
}
