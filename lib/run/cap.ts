import type { SealedBatch } from '../core/flow.ts'
import type { SharedSpending } from '../store/shared.ts'
import type { StoredJob } from '../store/job.ts'
import type { BatchState } from '../core/job/state.ts'
import { isShort, judge, spendingOf, type Spending, type CapDecision } from '../cost/budget.ts'
import { showUsd } from '../cost/usd.ts'
import type { Unbounded } from '../cost/worst.ts'

export interface CapOptions {
  readonly job: Pick<StoredJob, 'state' | 'note' | 'when' | 'batch'> &
    Partial<Pick<StoredJob, 'shared' | 'clock' | 'on'>>
  /** What the job may cost in all, in femtodollars. */
  readonly most: bigint
  /** The most that a sealed batch can cost. */
  readonly worstOf: (number: number) => Promise<bigint | Unbounded>
  /** What the answers of a fetched batch were billed; undefined where a price is unknown. */
  readonly spentOn: (number: number) => Promise<bigint | undefined>
  /** Asked before the job stops for its cap: a higher one goes on. @default nobody is asked */
  readonly ask?:
    ((reached: Reached, signal: AbortSignal) => Promise<bigint | undefined>) | undefined
  /** Whether batches in flight come to their end in this run, so that waiting for them helps. @default true */
  readonly drains?: boolean
}

/** How often it is looked whether other shards have freed a part of the budget. */
const SHARED_LOOK_MS = 2000

/** A cap that the next batch does not fit below. */
export interface Reached {
  /** In a sentence. */
  readonly why: string
  /** The least cap, in femtodollars, that lets the batch go. */
  readonly least: bigint
}

/**
 * Keeps a job below a cap. A batch is let go only when everything that may still be billed fits below it, the worst case of
 * all that is in flight included; what that is stands in the journal before a byte goes out, so a crash forgets nothing.
 * Once a batch does not fit with nothing in flight, the job has stopped.
 */
export class Cap {
  readonly #options: CapOptions
  /** What fetched batches were billed; null where a price is unknown. */
  readonly #spentOn = new Map<number, bigint | null>()
  #turn: Promise<unknown> = Promise.resolve()
  #stopped: string | undefined
  /** The batch that did not fit, and what was spent or in flight then. */
  #refused:
    { readonly committed: bigint; readonly worst: bigint; readonly records: number } | undefined
  /** The batches whose bills all shards know. */
  #settled: Set<number> | undefined
  #settling: Promise<void> = Promise.resolve()
  #most: bigint

  constructor(options: CapOptions) {
    this.#options = options
    this.#most = options.most
    const { job } = options
    // Other shards may wait for what this one sets free. What fails here is settled at the end of the run.
    if (job.shared)
      job.on?.('event', ({ type }) => {
        if (type === 'fetched') this.settle().catch(() => {})
      })
  }

  /** Why nothing more is sent; undefined as long as it is. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /**
   * A cap, in femtodollars, at which all that is left could be sent, if it costs at worst as much for each record as the batch
   * that did not fit. Undefined until the cap is reached, and where a price is unknown.
   */
  get enough(): bigint | undefined {
    if (!this.#refused) return undefined
    const { committed, worst, records } = this.#refused
    const { kept, batches } = this.#options.job.state
    let covered = 0
    let sealed = 0
    for (const { phase, attempt, next, records } of batches.values()) {
      if (phase === 'sealed') sealed += records
      if (phase !== 'void' && attempt === 1) covered = Math.max(covered, next)
    }
    // Input is spooled after the stop, too, so this is counted when it is asked.
    const left = BigInt(sealed + Math.max(0, kept.records - covered))
    return committed + (worst * left + BigInt(records) - 1n) / BigInt(records)
  }

  /** May this batch be sent? One batch is looked at after the other, and each waits for what helps it. */
  async admit({ number }: Pick<SealedBatch, 'number'>, signal: AbortSignal): Promise<boolean> {
    const { reserved } = this.#options.job.batch(number)
    // What is reserved is sent again without a turn: the batch whose turn it is may be waiting for this very one.
    if (reserved !== undefined) return await this.#admitAgain(number, BigInt(reserved))
    const admitted = this.#turn.then(() => this.#admitNext(number, signal))
    this.#turn = admitted.catch(() => {})
    return await admitted
  }

  async #admitAgain(number: number, worst: bigint): Promise<boolean> {
    const spending = await this.#spending(number)
    if (judge(this.#most, spending, worst) === 'send') return true
    this.#stop(number, worst, spending)
    return false
  }

  async #admitNext(number: number, signal: AbortSignal): Promise<boolean> {
    const { job, worstOf, drains = true } = this.#options
    if (this.#stopped !== undefined) return false
    const worst = await worstOf(number)
    if (typeof worst !== 'bigint') {
      this.#stopped = `batch ${number} cannot be held below --max-cost: ${worst.why}`
      return false
    }
    for (;;) {
      const own = await this.#spending(number)
      const refused = await this.#reserveShared(number, worst, own)
      const spending = { ...own, ...refused }
      const verdict = this.#verdict(own, refused, worst)
      if (verdict === 'send') {
        await job.note({ type: 'reserved', number, amount: String(worst) }, false)
        return true
      }
      if (verdict === 'stop' || !drains) {
        if (await this.#raise(number, worst, spending, signal)) continue
        this.#stop(number, worst, spending)
        return false
      }
      await this.#change(own.mark, signal)
    }
  }

  /**
   * Says to all that share the job's budget what its fetched batches were billed. Answers that never came may have been billed
   * all the same.
   */
  settle(): Promise<void> {
    const settled = this.#settling.then(() => this.#settle())
    this.#settling = settled.catch(() => {})
    return settled
  }

  async #settle(): Promise<void> {
    const { job, spentOn } = this.#options
    if (!job.shared) return
    this.#settled ??= new Set((await job.shared.settled()).keys())
    for (const batch of [...job.state.batches.values()]) {
      const { number, fetched, phase } = batch
      if (!fetched || phase === 'void' || this.#settled.has(number)) continue
      const spent = await spentOn(number)
      const most = BigInt(batch.reserved ?? 0)
      if (spent === undefined) continue
      await job.shared.settle(number, isShort(batch) && most > spent ? most : spent, this.#most)
      this.#settled.add(number)
    }
  }

  /** What all shards spend, where the batch does not fit below the cap; undefined where it is reserved, or nothing is shared. */
  async #reserveShared(
    number: number,
    worst: bigint,
    { isUnknown }: Spending,
  ): Promise<SharedSpending | undefined> {
    const { shared } = this.#options.job
    if (!shared || isUnknown) return undefined
    await this.settle()
    const reserved = await shared.reserveBudget(number, worst, this.#most)
    return reserved === 'reserved' ? undefined : reserved
  }

  #verdict(own: Spending, refused: SharedSpending | undefined, worst: bigint): CapDecision {
    if (!this.#options.job.shared || own.isUnknown) return judge(this.#most, own, worst)
    if (!refused) return 'send'
    // Batches of other shards may end, too, and cost less than is reserved for them.
    return own.open > 0 || refused.reserved > 0n ? 'wait' : 'stop'
  }

  /** Resolves when a batch has moved; other shards tell nothing, so with them a while later at the latest. */
  async #change(mark: string, signal: AbortSignal): Promise<void> {
    const { job } = this.#options
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const changed = job.when(() => markOf(job.state.batches.values()) !== mark, either)
    const later = job.shared && job.clock ? [job.clock.sleep(SHARED_LOOK_MS, either)] : []
    await Promise.race([changed, ...later]).finally(() => {
      over.abort()
      for (const wait of [changed, ...later]) wait.catch(() => {})
    })
  }

  /** Where the job stands, once it is known what every batch cost whose answers are here. */
  async #spending(number: number): Promise<Spending & { readonly mark: string }> {
    const { job, spentOn } = this.#options
    const next = job.batch(number)
    for (;;) {
      const batches = [...job.state.batches.values()]
      const unread = batches.find(batch => batch.fetched && !this.#spentOn.has(batch.number))
      // Looked at in one go: whatever comes during an await is seen in the next round.
      if (!unread) return { ...spendingOf(batches, this.#spentOn, next), mark: markOf(batches) }
      this.#spentOn.set(unread.number, (await spentOn(unread.number)) ?? null)
    }
  }

  /** Whether somebody has raised the cap. A price that is unknown is no question of how much. */
  async #raise(
    number: number,
    worst: bigint,
    spending: Spending,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (spending.isUnknown) return false
    const why = this.#reached(number, worst, spending)
    const least = spending.spent + spending.reserved + worst
    const raised = await this.#options.ask?.({ why, least }, signal)
    if (raised === undefined) return false
    this.#most = raised
    return true
  }

  #stop(number: number, worst: bigint, spending: Spending): void {
    this.#stopped ??= this.#reached(number, worst, spending)
    if (spending.isUnknown) return
    const { spent, reserved } = spending
    this.#refused ??= {
      committed: spent + reserved,
      worst,
      records: this.#options.job.batch(number).records,
    }
  }

  #reached(number: number, worst: bigint, { spent, reserved, isUnknown }: Spending): string {
    const most = showUsd(this.#most)
    return isUnknown
      ? `it is unknown what the batches so far cost, so nothing more is sent below --max-cost ${most}: a price is unknown; give it with --price IN,OUT`
      : `--max-cost ${most} is reached: ${showUsd(spent + reserved)} is spent or in flight, and batch ${number} can cost ${showUsd(worst)}`
  }
}

/** Changes when a batch is sent, ends or is done with. */
function markOf(batches: Iterable<BatchState>): string {
  let mark = ''
  for (const { number, phase } of batches) {
    if (phase !== 'sealed' && phase !== 'written') mark += `${number}${phase} `
  }
  return mark
}
