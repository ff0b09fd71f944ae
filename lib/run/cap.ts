import type { SealedBatch } from '../core/flow.ts'
import type { OverCap, Shared } from '../store/shared.ts'
import type { StoredJob } from '../store/job.ts'
import { isShort, type BatchState } from '../core/job/state.ts'
import { judge, raising, spendingOf, type Spending, type CapDecision } from '../cost/budget.ts'
import { showUsd } from '../cost/usd.ts'
import type { Unbounded } from '../cost/worst.ts'

export interface CapOptions {
  readonly job: Pick<StoredJob, 'state' | 'note' | 'when' | 'batch'> &
    Partial<Pick<StoredJob, 'clock' | 'on'>> & {
      readonly shared?: Pick<Shared, 'settled' | 'settle' | 'reserveBudget'> | undefined
    }
  /** The maximum cost of the job, in femtodollars. */
  readonly most: bigint
  /** The worst-case cost of a sealed batch. */
  readonly worstOf: (number: number) => Promise<bigint | Unbounded>
  /**
   * The amount billed for a fetched batch; null if the cost of an answer is unknown, undefined while the results are on another machine.
   */
  readonly spentOn: (number: number) => Promise<bigint | null | undefined>
  /**
   * Called before the job stops at its cap; a higher cap continues.
   * @default the job stops
   */
  readonly ask?:
    ((reached: Reached, signal: AbortSignal) => Promise<bigint | undefined>) | undefined
  /**
   * Whether this run waits for batches in flight, so that waiting for them is useful.
   * @default true
   */
  readonly drains?: boolean
}

/** How often to check whether other shards have released a part of the budget. */
const SHARED_LOOK_MS = 2000

/** What the job, or all its shards together, have spent, and the worst case of the batch that is to be sent. */
type SpendingWith = Spending & Pick<OverCap, 'worst' | 'uncapped'>

/** The cap was reached: the next batch does not fit. */
export interface Reached {
  /** The reason in a sentence. */
  readonly why: string
  /** The lowest cap, in femtodollars, that allows the batch. */
  readonly least: bigint
}

/**
 * Spending cap: never sends a batch whose worst-case cost would exceed it. A batch is sent only if the amounts billed so
 * far and the worst cases of all batches in flight fit below the cap together with it. Reservations are journaled before
 * any byte is sent, so a crash forgets nothing. If a batch does not fit while nothing is in flight, the job stops.
 */
export class Cap {
  readonly #options: CapOptions
  /** Amounts billed for fetched batches; null if the cost of an answer is unknown. */
  readonly #spentOn = new Map<number, bigint | null>()
  #turn: Promise<unknown> = Promise.resolve()
  #stopped: string | undefined
  /** The batch that did not fit, and the amount spent or in flight at that time. */
  #refused:
    { readonly committed: bigint; readonly worst: bigint; readonly records: number } | undefined
  /** Batches whose bills all shards know. */
  #settled: Set<number> | undefined
  #settling: Promise<void> = Promise.resolve()
  #most: bigint

  constructor(options: CapOptions) {
    this.#options = options
    this.#most = options.most
    const { job } = options
    // Other shards may wait for budget that this one releases. Failures here are retried at the end of the run.
    if (job.shared)
      job.on?.('event', ({ type }) => {
        if (type === 'fetched') this.settle().catch(() => {})
      })
  }

  /** The cap, in femtodollars. */
  get most(): bigint {
    return this.#most
  }

  /** Why submission stopped; undefined while it has not. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /**
   * A cap, in femtodollars, that would suffice for the rest of the job, assuming the worst case per record of the batch
   * that did not fit. Undefined until the cap is reached, and if a price is unknown.
   */
  get enough(): bigint | undefined {
    if (!this.#refused) return undefined
    const { committed, worst, records } = this.#refused
    const { spooled, batches } = this.#options.job.state
    let covered = 0
    let sealed = 0
    for (const { phase, attempt, next, records } of batches.values()) {
      if (phase === 'sealed') sealed += records
      if (phase !== 'void' && attempt === 1) covered = Math.max(covered, next)
    }
    // Input is still spooled after the stop, so this is counted on demand.
    const left = BigInt(sealed + Math.max(0, spooled.records - covered))
    return committed + (worst * left + BigInt(records) - 1n) / BigInt(records)
  }

  /** Decides whether a batch may be sent. Batches are decided one at a time, each after waiting as long as that helps. */
  async approve({ number }: Pick<SealedBatch, 'number'>, signal: AbortSignal): Promise<boolean> {
    const { reserved } = this.#options.job.batch(number)
    // A batch with a reservation does not queue: the batch whose turn it is may be waiting for this one.
    if (reserved !== undefined) return await this.#approveReserved(number, BigInt(reserved))
    const admitted = this.#turn.then(() => this.#approveNext(number, signal))
    this.#turn = admitted.catch(() => {})
    return await admitted
  }

  async #approveReserved(number: number, reserved: bigint): Promise<boolean> {
    const own = await this.#spending(number)
    const worst = this.#raised(reserved)
    // The cap may have been lowered since, and other shards have spent.
    const refused = await this.#reserveShared(number, reserved, own)
    if (judge(this.#most, own, worst) === 'send' && !refused) return true
    this.#stop(number, { ...own, worst, ...refused })
    return false
  }

  async #approveNext(number: number, signal: AbortSignal): Promise<boolean> {
    const { job, worstOf, drains = true } = this.#options
    if (this.#stopped !== undefined) return false
    const estimate = await worstOf(number)
    if (typeof estimate !== 'bigint') {
      this.#stopped = `batch ${number} cannot be held below \`maxCost\`, so nothing more is sent: ${estimate.why}`
      return false
    }
    for (;;) {
      const own = await this.#spending(number)
      const worst = this.#raised(estimate)
      const refused = await this.#reserveShared(number, estimate, own)
      const spending = { ...own, worst, ...refused }
      const verdict = this.#verdict(own, refused, worst)
      if (verdict === 'send') {
        await job.note({ type: 'reserved', number, amount: String(estimate) }, false)
        return true
      }
      if (verdict === 'stop' || !drains) {
        if (await this.#raise(number, spending, signal)) continue
        this.#stop(number, spending)
        return false
      }
      await this.#change(own.mark, signal)
    }
  }

  /**
   * Reports the bills of fetched batches to all shards of the job. Answers that never arrived may still have been billed. A batch whose
   * cost stays unknown counts as its worst case; other shards would wait for its reservation forever.
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
      const isReserved = BigInt(batch.reserved ?? 0) > 0n
      const isWhole = spent !== null && !isShort(batch)
      // A batch of unknown cost without a reservation stops the job.
      if (spent === undefined || !(isWhole || isReserved)) continue
      await job.shared.settle(number, { spent: spent ?? 0n, isWhole }, this.#most)
      this.#settled.add(number)
    }
  }

  /** The spending of all shards if the batch does not fit; undefined if it was reserved, or nothing is shared. */
  async #reserveShared(
    number: number,
    worst: bigint,
    { isUnknown }: Spending,
  ): Promise<OverCap | undefined> {
    const { shared } = this.#options.job
    if (!shared || isUnknown) return undefined
    await this.settle()
    const reserved = await shared.reserveBudget(number, worst, this.#most)
    return reserved === 'reserved' ? undefined : reserved
  }

  #verdict(own: Spending, refused: OverCap | undefined, worst: bigint): CapDecision {
    if (!this.#options.job.shared || own.isUnknown) return judge(this.#most, own, worst)
    if (!refused) return 'send'
    if (refused.uncapped !== undefined) return 'stop'
    // Batches of other shards may end and cost less than their reservation.
    return own.open > 0 || refused.reserved > 0n ? 'wait' : 'stop'
  }

  /**
   * Resolves when a batch has changed phase. Changes of other shards are not reported, so a shared job also checks after a
   * while.
   */
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

  #raised(worst: bigint): bigint {
    return raising([...this.#options.job.state.batches.values()], this.#spentOn)(worst)
  }

  /** The job's spending, once the bills of all fetched batches are known. */
  async #spending(number: number): Promise<Spending & { readonly mark: string }> {
    const { job, spentOn } = this.#options
    const next = job.batch(number)
    for (;;) {
      const batches = [...job.state.batches.values()]
      const unread = batches.find(batch => batch.fetched && !this.#spentOn.has(batch.number))
      // Computed without an await; a change during an await is seen in the next round.
      if (!unread) return { ...spendingOf(batches, this.#spentOn, next), mark: markOf(batches) }
      this.#spentOn.set(unread.number, (await spentOn(unread.number)) ?? null)
    }
  }

  /** Asks for a higher cap. An unknown price is not a matter of the amount, so then nothing is asked. */
  async #raise(number: number, spending: SpendingWith, signal: AbortSignal): Promise<boolean> {
    if (spending.isUnknown || spending.uncapped !== undefined) return false
    const why = this.#reached(number, spending)
    const least = spending.spent + spending.reserved + spending.worst
    const raised = await this.#options.ask?.({ why, least }, signal)
    if (raised === undefined) return false
    this.#most = raised
    return true
  }

  #stop(number: number, spending: SpendingWith): void {
    const why = this.#reached(number, spending)
    if (spending.isUnknown || spending.uncapped !== undefined) {
      this.#stopped ??= why
      return
    }
    this.#stopped ??= `${why}; nothing more is sent. Use a higher \`maxCost\` to continue`
    const { spent, reserved, worst } = spending
    this.#refused ??= {
      committed: spent + reserved,
      worst,
      records: this.#options.job.batch(number).records,
    }
  }

  #reached(
    number: number,
    { spent, reserved, worst, isUnknown, lost, uncapped }: SpendingWith,
  ): string {
    const most = showUsd(this.#most)
    if (uncapped !== undefined)
      return `shard ${uncapped} has sent batches without \`maxCost\`, so what the job has spent is unknown, and nothing more is sent under ${most}: run that shard with \`maxCost\` first`
    if (lost !== undefined)
      return `batch ${lost} was sent without \`maxCost\`, and answers of it were lost, so what the job has spent is unknown, and nothing more is sent under ${most}: continue without \`maxCost\``
    return isUnknown
      ? `the cost of the batches so far is unknown because a price or the tokens of an answer are unknown, so nothing more is sent under \`maxCost\` ${most}; give a price with \`price\``
      : `\`maxCost\` ${most} is reached: ${showUsd(spent + reserved)} is spent or in flight, and batch ${number} can cost ${showUsd(worst)}`
  }
}

/** Changes when a batch is sent, ends or is settled. */
function markOf(batches: Iterable<BatchState>): string {
  let mark = ''
  for (const { number, phase } of batches) {
    if (phase !== 'sealed' && phase !== 'written') mark += `${number}${phase} `
  }
  return mark
}
