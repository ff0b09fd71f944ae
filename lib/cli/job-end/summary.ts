import { join } from 'node:path'
import { batchPath } from '../../store/batch-files.ts'
import { nodeDisk } from '../../store/disk.ts'
import type { Clock } from '../../core/clock.ts'
import { LEDGER_COPY, type JobOnDisk } from '../../store/inspect.ts'
import { isLocked } from '../../store/lock.ts'
import type { BatchState } from '../../core/job/state.ts'
import { standingOf } from '../job-work.ts'
import { dollarsOf, pricesOf, settingsIn, type Dollars } from '../money.ts'
import { mostFrequent, type FrequentFailure } from '../most-frequent.ts'
import { Ledger } from '../../cost/ledger.ts'
import type { PriceOf } from '../../cost/price.ts'
import { eachKeptAnswer } from '../../store/results/stored-answers.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import type { JsonSchema } from '../../core/schema/load.ts'
import { Tally } from '../tally.ts'

/** A job as `status --json` prints it, and as --notify and --on-end receive it. */
export interface Summary extends Dollars {
  readonly job: string
  readonly state: string
  readonly records: number
  readonly rows: Readonly<Record<string, number>>
  /** The most frequent failures, each with the input line of its first record. */
  readonly failures: readonly FrequentFailure[]
  readonly batches: readonly {
    readonly number: number
    readonly id: string | null
    readonly state: string
    readonly requests: number
    readonly age_s: number | null
    /** Batches that may be this one while the outcome of its create is unknown. */
    readonly waits_for?: readonly string[]
  }[]
  /** Of every received answer, including those of records that were retried later. */
  readonly tokens: {
    readonly input: number
    readonly output: number
    readonly cache_write_5m: number
    readonly cache_write_1h: number
    readonly cache_read: number
  }
}

/** Reads the summary from the job's folder; `price` overrides the job's own. */
export async function summaryOf(job: JobOnDisk, clock: Clock, price?: string): Promise<Summary> {
  const { state } = job
  const batches = [...(state?.batches.values() ?? [])].filter(batch => batch.phase !== 'void')
  const settings = settingsIn(job)
  const known = settings && { ...settings, ...(price !== undefined && { price }) }
  const { tally, ledger } = await rowsSoFar(
    await withoutRemote(job),
    pricesOf(known ?? {}),
    known?.schema,
  )
  const { input, output, write5m, write1h, read } = ledger.tokens
  return {
    job: job.name,
    state: (await isLocked(job.folder)) ? 'running' : standingOf(job),
    records: state?.kept.records ?? 0,
    rows: tally.byStatus(),
    failures: await mostFrequent(job.folder, state?.sources ?? [], tally.failures),
    batches: batches.map(batch => describeBatch(batch, clock.now())),
    tokens: {
      ...{ input, output },
      ...{ cache_write_5m: write5m, cache_write_1h: write1h, cache_read: read },
    },
    ...dollarsOf(job, ledger, known),
  }
}

/** Leaves out result sets of another machine. */
async function withoutRemote(job: JobOnDisk): Promise<JobOnDisk> {
  if (!job.state || (await nodeDisk.look(join(job.folder, LEDGER_COPY))) === undefined) return job
  const here = new Map<number, BatchState>()
  for (const [number, batch] of job.state.batches) {
    const path = batchPath(job.folder, number, batch.fetched?.lines ? 'lines' : 'rejected')
    if ((await nodeDisk.look(path)) !== undefined) here.set(number, batch)
  }
  return { ...job, state: { ...job.state, batches: here } }
}

function describeBatch(batch: BatchState, now: number): Summary['batches'][number] {
  const { number, id, phase, requests, submittedAt, candidates } = batch
  const open = Object.keys(candidates).filter(candidate => candidates[candidate] === 'open')
  return {
    number,
    id,
    state: phase,
    requests,
    age_s: submittedAt === null ? null : Math.max(0, Math.round((now - submittedAt) / 1000)),
    ...(phase === 'armed' && open.length > 0 && { waits_for: open }),
  }
}

interface RowsSoFar {
  readonly tally: Tally
  readonly ledger: Ledger
}

/** Counts the stored answers: the status of each record's newest answer, and the cost of all. */
export async function rowsSoFar(
  job: JobOnDisk,
  priceOf: PriceOf,
  schema: JsonSchema | undefined,
): Promise<RowsSoFar> {
  const newest = new Tally()
  const ledger = new Ledger(priceOf)
  await eachKeptAnswer(job, schema && answerCheck(schema), (result, { isNewest, ordinal }) => {
    ledger.add(result)
    if (isNewest) newest.add(result, ordinal)
  })
  return { tally: newest, ledger }
}
