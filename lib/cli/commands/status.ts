import { systemClock } from '../../clock.ts'
import { nodeDisk } from '../../job/disk.ts'
import { inspectJob, inspectJobs, type JobOnDisk } from '../../job/inspect.ts'
import { isLocked } from '../../job/lock.ts'
import type { BatchState } from '../../job/state.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import { BatchStreamError } from '../../errors.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { dollarsOf, pricesOf, settingsIn, type Dollars } from '../money.ts'
import { rowsSoFar } from '../rows-so-far.ts'
import { moneyIn } from '../settings.ts'
import { stateDir } from '../state-dir.ts'
import { stateOf } from './list.ts'

const WATCH_MS = 5000

/** What a job is doing, from its journal: the API is not asked, and the job is not disturbed. */
export async function status(context: Context): Promise<Ending> {
  const { flags, io, signal } = context
  const dir = stateDir(flags, io.env)
  for (;;) {
    const job = await jobToShow(dir, flags.args[0])
    const shown = await describe(job, moneyIn(flags).price)
    const said = flags.has('json') ? JSON.stringify(shown) : text(shown)
    await print(io.stdout, `${said}\n`)
    if (!flags.has('watch') || shown.state === 'finished' || shown.state === 'damaged') break
    await systemClock.sleep(WATCH_MS, signal)
  }
  return { code: EXIT.answered }
}

async function jobToShow(dir: string, name: string | undefined): Promise<JobOnDisk> {
  const job =
    name === undefined
      ? (await inspectJobs(nodeDisk, dir)).at(-1)
      : await inspectJob(nodeDisk, dir, name)
  if (job) return job
  throw new BatchStreamError(
    'CBS_OPTION',
    name === undefined ? `there are no jobs in ${dir}` : `there is no job ${name} in ${dir}`,
  )
}

interface Shown extends Dollars {
  readonly job: string
  readonly state: string
  readonly records: number
  readonly rows: Readonly<Record<string, number>>
  readonly batches: readonly {
    readonly number: number
    readonly id: string | null
    readonly state: string
    readonly requests: number
    readonly age_s: number | null
    /** Batches that may be this one, while its create has an unknown outcome. */
    readonly waits_for?: readonly string[]
  }[]
  /** Of every answer that came, those that were asked again later included. */
  readonly tokens: {
    readonly input: number
    readonly output: number
    readonly cache_write_5m: number
    readonly cache_write_1h: number
    readonly cache_read: number
  }
}

async function describe(job: JobOnDisk, price: string | undefined): Promise<Shown> {
  const { state } = job
  const batches = [...(state?.batches.values() ?? [])].filter(batch => batch.phase !== 'void')
  const settings = settingsIn(job)
  const known = settings && { ...settings, ...(price !== undefined && { price }) }
  const { rows, ledger } = await rowsSoFar(job, pricesOf(known ?? {}), known?.schema)
  const { input, output, write5m, write1h, read } = ledger.tokens
  return {
    job: job.name,
    state: (await isLocked(job.folder)) ? 'running' : stateOf(job),
    records: state?.kept.records ?? 0,
    rows,
    batches: batches.map(describeBatch),
    tokens: {
      ...{ input, output },
      ...{ cache_write_5m: write5m, cache_write_1h: write1h, cache_read: read },
    },
    ...dollarsOf(job, ledger, known),
  }
}

function describeBatch(batch: BatchState): Shown['batches'][number] {
  const { number, id, phase, requests, submittedAt, suspects } = batch
  const open = Object.keys(suspects).filter(suspect => suspects[suspect] === 'open')
  return {
    number,
    id,
    state: phase,
    requests,
    age_s:
      submittedAt === null
        ? null
        : Math.max(0, Math.round((systemClock.now() - submittedAt) / 1000)),
    ...(phase === 'armed' && open.length > 0 && { waits_for: open }),
  }
}

function text(shown: Shown): string {
  const rows = Object.entries(shown.rows).map(([status, count]) => `${count} ${status}`)
  const lines = [
    `${shown.job}  ${shown.state}  ${shown.records} records; rows: ${rows.join(', ') || 'none'}`,
  ]
  for (const { number, id, state, requests, age_s, waits_for } of shown.batches) {
    const age = age_s === null ? '' : `, ${age_s} s`
    const waits = waits_for
      ? `, may be ${waits_for.join(' or ')}: waiting until that has ended`
      : ''
    lines.push(
      `  batch ${number}  ${state.padEnd(9)}  ${requests} requests${age}  ${id ?? ''}${waits}`,
    )
  }
  return lines.join('\n')
}
