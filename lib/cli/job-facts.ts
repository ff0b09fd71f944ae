// What `list` and `status` show about a job besides its state.
import { join } from 'node:path'
import { CostLedger } from '../cost/ledger.ts'
import { usdNumber } from '../cost/usd.ts'
import type { Status } from '../core/results/status.ts'
import { nodeDisk, replaceFile } from '../store/disk.ts'
import type { JobOnDisk } from '../store/inspect.ts'
import { pricesOf, settingsIn } from './money.ts'
import type { Remembered } from './remembered.ts'
import { rowsSoFar, type Elsewhere } from './job-end/summary.ts'
import type { RequestSettings } from './request-settings.ts'

/** What the command that created a job specified. */
export interface JobOrigin {
  readonly created_at: string | null
  /** Null if records or a module may name one. */
  readonly model: string | null
  /** The start of the prompt; null if a module or the records make the requests. */
  readonly prompt: string | null
  readonly note: string | null
}

/** Maximum characters of a prompt that are shown. */
const HEAD = 200

export function madeOf({ card }: JobOnDisk): JobOrigin {
  const { run, note }: Partial<Remembered> = Object(card?.settings)
  return {
    created_at: card?.created_at ?? null,
    model: run?.prompt === undefined ? null : run.model,
    prompt: run?.prompt === undefined ? null : headOf(run),
    note: note ?? null,
  }
}

function headOf({ prompt = '' }: RequestSettings): string {
  const characters = [...prompt.slice(0, 2 * HEAD)]
  const head = characters.slice(0, HEAD).join('')
  return head.length < prompt.length ? `${head}…` : head
}

/** The rows of a job and their cost. */
export interface Totals {
  /** Rows by status, counting the newest answer of each record. */
  readonly rows: Partial<Record<Status, number>>
  readonly elsewhere?: Elsewhere
  /** Null where a price is not known, or results are on another machine. */
  readonly spent_usd: number | null
}

/**
 * The totals of a job. Counting reads every answer, so the totals are cached in the job's folder until another batch is
 * fetched.
 */
export async function totalsOf(job: JobOnDisk): Promise<Totals> {
  if (!job.state) return { rows: {}, spent_usd: null }
  const fetched = [...job.state.batches.values()].filter(({ fetched }) => fetched !== null).length
  if (fetched === 0) return { rows: {}, spent_usd: 0 }
  const settings = settingsIn(job)
  const key = JSON.stringify([fetched, settings?.price ?? null])
  const path = join(job.folder, TOTALS)
  const kept = await keptTotals(path)
  if (kept?.key === key) return kept.totals
  const prices = pricesOf(settings ?? {})
  const { tally, ledger, elsewhere } = await rowsSoFar(job, prices, settings?.schema)
  // A later command may have downloaded them.
  if (elsewhere) return { rows: tally.byStatus(), elsewhere, spent_usd: null }
  const totals = { rows: tally.byStatus(), spent_usd: spentOf(ledger) }
  // If the cache cannot be written (a read-only or just deleted folder), the next command counts again.
  await replaceFile(nodeDisk, path, Buffer.from(JSON.stringify({ key, totals }))).catch(() => {})
  return totals
}

const TOTALS = 'totals.json'

function spentOf({ spent }: CostLedger): number | null {
  return spent === undefined ? null : usdNumber(spent)
}

async function keptTotals(path: string): Promise<{ key: string; totals: Totals } | undefined> {
  try {
    const text = await nodeDisk.readWhole(path)
    // Written above; a torn file is not valid JSON.
    return text && (JSON.parse(text.toString('utf8')) as { key: string; totals: Totals })
  } catch {
    return undefined
  }
}
