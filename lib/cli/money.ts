import { BatchStreamError } from '../core/errors.ts'
import type { JobOnDisk } from '../store/inspect.ts'
import type { StoredJob } from '../store/job.ts'
import type { JobState } from '../core/job/state.ts'
import { estimateOf, reservedOf, type Common } from '../cost/journal-figures.ts'
import type { Cap } from '../run/cap.ts'
import { capOf } from '../run/capped-job.ts'
import { priceUnknown, type CostLedger } from '../cost/ledger.ts'
import { givenPrice, listPrice, type PriceOf } from '../cost/price.ts'
import { parseUsd, showUsd, suggestedUsd, usdNumber, type Dollars } from '../cost/usd.ts'
import { askForMore } from './ask-for-more.ts'
import type { Context } from './context.ts'
import { rememberedBy } from './remembered.ts'
import type { RequestSettings } from './request-settings.ts'
import type { MoneySettings, Settings } from './settings.ts'
import type { Talk } from './talk.ts'
import type { RowTally } from './tally.ts'

/** The prices of a job. */
export function pricesOf({ price }: MoneySettings): PriceOf {
  return price === undefined ? listPrice : givenPrice(price)
}

/** What all requests of a job share; undefined if records or a module may override it. */
function commonOf({ prompt, model, maxTokens, params }: RequestSettings): Common | undefined {
  if (prompt === undefined) return undefined
  // Invalid `params` were rejected before.
  return { model, max_tokens: maxTokens, ...(params as Partial<Common>) }
}

/** The spending cap of a job, if there is one. Without `drains`, the run does not wait for batches in flight. */
export function capFor(
  context: Context,
  job: StoredJob,
  settings: Settings,
  drains: boolean,
): Cap | undefined {
  const { maxCost } = settings
  const most = maxCost === undefined ? undefined : parseUsd(maxCost)
  const ask = askForMore(context, job)
  return most === undefined ? undefined : capOf(job, most, pricesOf(settings), { drains, ask })
}

/** Flags for the command that continues after a cap was reached: an amount that suffices for the rest. */
export function capFlags(cap: Cap | undefined): readonly string[] {
  const enough = cap?.enough
  return enough === undefined ? [] : ['--max-cost', suggestedUsd(enough)]
}

/** A cap requires a price. Checked before anything is sent. */
export function mustHavePrice(settings: Settings): void {
  const model = commonOf(settings)?.model
  if (settings.maxCost === undefined || model === undefined || pricesOf(settings)(model)) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `--max-cost cannot be enforced: ${priceUnknown([model])}`,
  )
}

/** The expected cost of a job; undefined if unknown: the bytes of images and PDFs do not predict their tokens. */
export function estimateFor(state: JobState, settings: Settings): bigint | undefined {
  const common = settings.filesDir === undefined ? commonOf(settings) : undefined
  return common && estimateOf(state, common, pricesOf(settings))
}

/** The last line of a run: what it cost, what synchronous calls would have cost, and what was expected. */
function costLine(
  job: StoredJob,
  ledger: CostLedger,
  settings: Settings,
  tally?: Pick<RowTally, 'reused' | 'asked'>,
): string {
  const estimate = estimateFor(job.state, settings)
  const expected = estimate === undefined ? '' : `; estimate was ${showUsd(estimate)}`
  const reused = tally ? reusedText(tally, ledger) : ''
  return `job ${job.name}: ${reused}${ledger}${ledger.spent === undefined ? '' : expected}`
}

/** What a job has cost, and a warning if that is more than its cap. */
export function tellCost(
  talk: Talk,
  { job, ledger, settings, cap }: CostOfJob,
  tally?: Pick<RowTally, 'reused' | 'asked'>,
): void {
  talk.info(costLine(job, ledger, settings, tally))
  if (cap && ledger.spent !== undefined && ledger.spent > cap.most)
    talk.warn(
      `job ${job.name} has cost more than --max-cost ${showUsd(cap.most)}: the cap was higher before, or answers were billed above their worst case, which a gateway can cause that adds to prompts or has prices of its own`,
    )
}

/** What decides the last line of a run. */
interface CostOfJob {
  readonly job: StoredJob
  readonly ledger: CostLedger
  readonly settings: Settings
  readonly cap?: Cap | undefined
}

/** What --reuse has saved; nothing where no answer was reused. */
function reusedText(
  { reused, asked }: Pick<RowTally, 'reused' | 'asked'>,
  { saved }: Pick<CostLedger, 'saved'>,
): string {
  if (reused === 0) return ''
  const dollars = saved === undefined ? '' : ` (saved ${showUsd(saved)})`
  return `${reused} reused${dollars}, ${asked} asked; `
}

export function dollarsOf(
  { state }: Pick<JobOnDisk, 'state'>,
  ledger: CostLedger,
  settings?: Settings,
): Dollars {
  const number = (amount: bigint | undefined): number | null =>
    amount === undefined ? null : usdNumber(amount)
  return {
    spent_usd: number(ledger.spent),
    // Under a cap it is always a number.
    reserved_usd: number(
      state && (reservedOf(state) ?? (settings?.maxCost === undefined ? undefined : 0n)),
    ),
    estimate_usd: number(state && settings && estimateFor(state, settings)),
  }
}

/** The settings that a job was created with, if they are readable; `status` shows damaged jobs too. */
export function settingsIn(job: JobOnDisk): Settings | undefined {
  try {
    return rememberedBy(job).run
  } catch {
    return undefined
  }
}
