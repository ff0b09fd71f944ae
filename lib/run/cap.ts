import type { SealedBatch } from '../core/flow.ts'
import type { StoredJob } from '../store/job.ts'
import type { BatchState } from '../core/job/state.ts'
import { judge, standingOf, type Standing } from '../cost/budget.ts'
import { showUsd } from '../cost/usd.ts'
import type { Unbounded } from '../cost/worst.ts'

export interface CapOptions {
  readonly job: Pick<StoredJob, 'state' | 'note' | 'when' | 'batch'>
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
  #most: bigint

  constructor(options: CapOptions) {
    this.#options = options
    this.#most = options.most
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
    const standing = await this.#standing(number)
    if (judge(this.#most, standing, worst) === 'send') return true
    this.#stop(number, worst, standing)
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
      const standing = await this.#standing(number)
      const verdict = judge(this.#most, standing, worst)
      if (verdict === 'send') {
        await job.note({ type: 'reserved', number, amount: String(worst) }, false)
        return true
      }
      if (verdict === 'stop' || !drains) {
        if (await this.#raise(number, worst, standing, signal)) continue
        this.#stop(number, worst, standing)
        return false
      }
      const { mark } = standing
      await job.when(() => markOf(job.state.batches.values()) !== mark, signal)
    }
  }

  /** Where the job stands, once it is known what every batch cost whose answers are here. */
  async #standing(number: number): Promise<Standing & { readonly mark: string }> {
    const { job, spentOn } = this.#options
    const next = job.batch(number)
    for (;;) {
      const batches = [...job.state.batches.values()]
      const unread = batches.find(batch => batch.fetched && !this.#spentOn.has(batch.number))
      // Looked at in one go: whatever comes during an await is seen in the next round.
      if (!unread) return { ...standingOf(batches, this.#spentOn, next), mark: markOf(batches) }
      this.#spentOn.set(unread.number, (await spentOn(unread.number)) ?? null)
    }
  }

  /** Whether somebody has raised the cap. A price that is unknown is no question of how much. */
  async #raise(
    number: number,
    worst: bigint,
    standing: Standing,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (standing.isUnknown) return false
    const why = this.#reached(number, worst, standing)
    const least = standing.spent + standing.reserved + worst
    const raised = await this.#options.ask?.({ why, least }, signal)
    if (raised === undefined) return false
    this.#most = raised
    return true
  }

  #stop(number: number, worst: bigint, standing: Standing): void {
    this.#stopped ??= this.#reached(number, worst, standing)
    if (standing.isUnknown) return
    const { spent, reserved } = standing
    this.#refused ??= {
      committed: spent + reserved,
      worst,
      records: this.#options.job.batch(number).records,
    }
  }

  #reached(number: number, worst: bigint, { spent, reserved, isUnknown }: Standing): string {
    const most = showUsd(this.#most)
    return isUnknown
      ? `it is unknown what the batches so far cost, so nothing more is sent below --max-cost ${most}: a price is unknown, and --price IN,OUT gives it`
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
