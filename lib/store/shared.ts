/** The spending of a job over all its shards, in femtodollars. */
export interface SharedSpending {
  readonly spent: bigint
  /** Worst cases, raised as far as a batch of any shard was billed above its own. */
  readonly reserved: bigint
  /** A shard that sent batches without a cap, so that their cost is unknown here. */
  readonly uncapped?: number | undefined
}

/** The spending of a job under whose cap a batch does not fit. */
export interface OverCap extends SharedSpending {
  /** The worst case of the batch, raised as far as the others. */
  readonly worst: bigint
}

/** What a batch was billed, in femtodollars, as far as that is known. */
export interface SharedBill {
  readonly spent: bigint
  /** Whether that is the whole bill; otherwise the batch counts as its raised worst case at least. */
  readonly isWhole: boolean
}

/** What a job with a ledger shares with other shards, jobs and machines. */
export interface Shared {
  /** All batch ids in the ledger except those of this shard. */
  ownedElsewhere(): Promise<ReadonlySet<string>>
  /** The batch id that an earlier owner of this shard received after its lease had ended. */
  lateIdOf(number: number): Promise<string | undefined>
  /** How long ago the previous owner's lease ended, in ms by the database's clock; a lower bound. */
  readonly leaseEndedMs: () => number
  /** Reserves room for a batch in the API's queue; false if there is none now. */
  reserveQueue(number: number, pool: string): Promise<boolean>
  /** Releases the room of a batch that the API did not accept. `isFull` records that the API's queue is full. */
  releaseQueue(number: number, isFull: boolean): Promise<void>
  /** Reserves the worst case of a batch under the cap of the whole job; returns the spending if it does not fit. */
  reserveBudget(number: number, worst: bigint, cap: bigint): Promise<'reserved' | OverCap>
  /** Records the bill of a batch and releases its reservation. `cap` is that of the whole job. */
  settle(number: number, bill: SharedBill, cap: bigint): Promise<void>
  /** The bills of this shard's settled batches. */
  settled(): Promise<ReadonlyMap<number, bigint>>
  /** The spending of the whole job. */
  spending(): Promise<SharedSpending>
  /** Stores how the job was created (job.json), for commands on other machines. */
  saveCard(card: string): Promise<void>
}
