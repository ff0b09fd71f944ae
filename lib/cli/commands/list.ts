import { transpose } from 'd3-array'
import type { RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { countOf } from '../../core/job/event.ts'
import { nodeDisk } from '../../store/disk.ts'
import { inspectJobs, type JobOnDisk } from '../../store/inspect.ts'
import { isLocked } from '../../store/lock.ts'
import { showUsd, usdOf } from '../../cost/usd.ts'
import { ApiSession } from '../../core/session.ts'
import { MAX_LIST_PAGES, MAX_PAGE } from '../../core/limits.ts'
import { clientOf } from '../client.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { SizedShard } from '../../core/shard.ts'
import type { Ending } from '../finish.ts'
import { apiFor } from '../free-call.ts'
import { madeOf, totalsOf, type JobOrigin, type Totals } from '../job-facts.ts'
import { statusOf, type JobStatus } from '../job-work.ts'
import { stateDir } from '../state-dir.ts'
import { counted, printable } from '../shown.ts'

/** Lists jobs on this machine, or the batches of the workspace. */
export async function list(context: Context): Promise<Ending> {
  const { flags, io, held } = context
  if (flags.has('remote')) return await listRemote(context)
  const shown: Listed[] = []
  for (const job of await inspectJobs(nodeDisk, stateDir(flags, io.env)))
    shown.push(await listed(job, held?.has(job.name) === true))
  if (flags.has('json')) for (const job of shown) await print(io.stdout, `${JSON.stringify(job)}\n`)
  else
    for (const line of table(shown, io.stdout.isTTY === true)) await print(io.stdout, `${line}\n`)
  return { code: EXIT.answered }
}

/** A job in `list --json`. */
interface Listed extends JobOrigin, Totals {
  readonly job: string
  readonly state: JobStatus | 'running'
  readonly shard?: SizedShard
  readonly records: number | null
  readonly batches: number | null
}

async function listed(job: JobOnDisk, isHeld: boolean): Promise<Listed> {
  const { name, folder, state } = job
  return {
    job: name,
    state: isHeld || (await isLocked(folder)) ? 'running' : statusOf(job),
    ...madeOf(job),
    ...(state?.shard && { shard: state.shard }),
    records: state?.spooled.records ?? null,
    batches: state?.batches.size ?? null,
    ...(await totalsOf(job)),
  }
}

const HEADER = ['JOB', 'STATE', 'DATE', 'ROWS', 'COST', 'MODEL', 'NOTE']

/** The jobs as aligned columns, with a header on a terminal. */
function table(jobs: readonly Listed[], hasHeader: boolean): string[] {
  const rows = jobs.map(cells)
  const columns = transpose(hasHeader ? [HEADER, ...rows] : rows).map(column => {
    const width = Math.max(...column.map(cell => cell.length))
    return column.map(cell => cell.padEnd(width))
  })
  return transpose(columns).map(row => row.join('  ').trimEnd())
}

function cells(job: Listed): string[] {
  const { records, spent_usd, created_at } = job
  const rows = Object.values(job.rows).reduce((sum, count) => sum + count, 0)
  const failed = rows - (job.rows.succeeded ?? 0)
  // How many there are is known where all results are here.
  const of = job.elsewhere ? `${rows}+ of` : `${rows} of`
  return [
    job.job,
    job.shard ? `${job.state}, shard ${job.shard.index}/${job.shard.count}` : job.state,
    created_at === null ? '-' : created_at.slice(0, 16).replace('T', ' '),
    records === null ? '-' : `${of} ${records}${failed === 0 ? '' : ` (${failed} failed)`}`,
    spent_usd === null ? '-' : showUsd(usdOf(spent_usd)),
    job.model ?? '-',
    job.note ?? '',
  ].map(printable)
}

async function listRemote(context: Context): Promise<Ending> {
  const { flags, io } = context
  const client = await clientOf(flags, io)
  const api = apiFor(context, client, new ApiSession(io.clock))
  const cursors = new Set<string>()
  let after: string | undefined
  for (;;) {
    const page = await api.list(after, MAX_PAGE, 'all')
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
  const requests = counted(countOf(request_counts), 'request')
  return `${printable([id, processing_status.padEnd(11), created_at, requests].join('  '))}\n`
}
