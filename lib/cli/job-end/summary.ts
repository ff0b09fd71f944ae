import { join } from 'node:path'
import { batchPath } from '../../store/batch-path.ts'
import { nodeDisk } from '../../store/disk.ts'
import type { Clock } from '../../core/clock.ts'
import { LEDGER_COPY, type JobOnDisk } from '../../store/inspect.ts'
import { isLocked } from '../../store/lock.ts'
import { openCandidates, type BatchState } from '../../core/job/state.ts'
import { statusOf } from '../job-work.ts'
import { dollarsOf, pricesOf, settingsIn } from '../money.ts'
import type { Dollars } from '../../cost/usd.ts'
import { mostFrequent, type FrequentFailure } from '../most-frequent.ts'
import { CostLedger } from '../../cost/ledger.ts'
import { usdNumber } from '../../cost/usd.ts'
import type { PriceOf } from '../../cost/price.ts'
import { eachKeptAnswer } from '../../store/results/stored-answers.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import type { JsonSchema } from '../../core/schema/load.ts'
import { counted } from '../shown.ts'
import { RowTally } from '../tally.ts'

/** A job as `status --json` prints it, and as --notify and --on-end receive it. */
export interface JobSummary extends Dollars {
  readonly job: string
  readonly state: string
  readonly records: number
  readonly rows: Readonly<Record<string, number>>
  /** Rows that have the answer of an earlier job (`--reuse`), and those whose records were sent. */
  readonly reused: number
  readonly asked: number
  /** What the reused answers had cost the jobs that asked for them. */
  readonly saved_usd: number | null
  readonly elsewhere?: Elsewhere
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

/** Results of a job in a ledger that another machine has fetched and that are not on this disk. `rows` does not count them. */
export interface Elsewhere {
  readonly batches: number
  /** Requests by the API's own counts: retries are counted again, and no answer has been validated. */
  readonly succeeded: number
  readonly errored: number
  readonly canceled: number
  readonly expired: number
}

/** Reads the summary from the job's folder; `price` overrides the job's own. `isHeld`: another machine works on the job. */
export async function summaryOf(
  job: JobOnDisk,
  clock: Clock,
  price?: string,
  isHeld = false,
): Promise<JobSummary> {
  const { state } = job
  const batches = [...(state?.batches.values() ?? [])].filter(batch => batch.phase !== 'void')
  const settings = settingsIn(job)
  const known = settings && { ...settings, ...(price !== undefined && { price }) }
  const { tally, ledger, elsewhere } = await rowsSoFar(job, pricesOf(known ?? {}), known?.schema)
  const { input, output, write5m, write1h, read } = ledger.tokens
  return {
    job: job.name,
    state: isHeld || (await isLocked(job.folder)) ? 'running' : statusOf(job),
    records: state?.spooled.records ?? 0,
    rows: tally.byStatus(),
    reused: tally.reused,
    asked: tally.asked,
    ...(elsewhere && { elsewhere }),
    failures: await mostFrequent(job.folder, state?.sources ?? [], tally.failures),
    batches: batches.map(batch => describeBatch(batch, clock.now())),
    tokens: {
      ...{ input, output },
      ...{ cache_write_5m: write5m, cache_write_1h: write1h, cache_read: read },
    },
    saved_usd: ledger.saved === undefined ? null : usdNumber(ledger.saved),
    ...dollarsOf(job, ledger, known),
    // What answers cost that are not here is unknown.
    ...(elsewhere && { spent_usd: null }),
  }
}

interface Split {
  /** The job with the batches whose results are here. */
  readonly here: JobOnDisk
  readonly elsewhere: Elsewhere | undefined
}

/** Separates the results that are here from those on the disk of another machine. */
async function withoutRemote(job: JobOnDisk): Promise<Split> {
  if (!job.state || (await nodeDisk.stat(join(job.folder, LEDGER_COPY))) === undefined)
    return { here: job, elsewhere: undefined }
  const batches = new Map<number, BatchState>()
  let elsewhere: Elsewhere | undefined
  for (const [number, batch] of job.state.batches) {
    const path = batchPath(job.folder, number, batch.fetched?.lines ? 'lines' : 'rejected')
    if ((await nodeDisk.stat(path)) !== undefined) batches.set(number, batch)
    else if (batch.fetched !== null) elsewhere = withBatch(elsewhere, batch)
  }
  return { here: { ...job, state: { ...job.state, batches } }, elsewhere }
}

function withBatch(sum: Elsewhere | undefined, { counts }: BatchState): Elsewhere {
  // The API knows no counts of a batch that it no longer knows.
  const more = counts ?? { succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  return {
    batches: (sum?.batches ?? 0) + 1,
    succeeded: (sum?.succeeded ?? 0) + more.succeeded,
    errored: (sum?.errored ?? 0) + more.errored,
    canceled: (sum?.canceled ?? 0) + more.canceled,
    expired: (sum?.expired ?? 0) + more.expired,
  }
}

/** The results that are on the disk of another machine, in words. */
export function describeElsewhere({ batches, ...counts }: Elsewhere): string {
  const statuses = Object.entries(counts).filter(([, count]) => count > 0)
  const by = statuses.map(([status, count]) => `${count} ${status}`).join(', ')
  const what = counted(batches, 'batch', 'batches')
  return `the results of ${what} (${by || 'no requests'}) are on another machine; \`results\` downloads them again`
}

function describeBatch(batch: BatchState, now: number): JobSummary['batches'][number] {
  const { number, id, phase, requests, submittedAt } = batch
  const open = openCandidates(batch)
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
  readonly tally: RowTally
  readonly ledger: CostLedger
  readonly elsewhere: Elsewhere | undefined
}

/** Counts the stored answers: the status of each record's newest answer, and the cost of all. */
export async function rowsSoFar(
  job: JobOnDisk,
  priceOf: PriceOf,
  schema: JsonSchema | undefined,
): Promise<RowsSoFar> {
  const newest = new RowTally()
  const ledger = new CostLedger(priceOf)
  const { here, elsewhere } = await withoutRemote(job)
  await eachKeptAnswer(here, schema && answerCheck(schema), (result, { isNewest, ordinal }) => {
    ledger.add(result)
    if (isNewest) newest.add(result, ordinal)
  })
  return { tally: newest, ledger, elsewhere }
}
