/** What a job spends in all its shards, in femtodollars. */
export interface SharedSpending {
  readonly spent: bigint
  readonly reserved: bigint
}

/** What a job with a ledger shares with other shards, jobs and machines. */
export interface Shared {
  /** Ids of all batches that the ledger knows and that are not this shard's own. */
  ownedElsewhere(): Promise<ReadonlySet<string>>
  /** A batch id that an earlier owner of this shard was given for a batch after its lease had ended. */
  lateIdOf(number: number): Promise<string | undefined>
  /** How long ago the lease of the owner before this one ended, in ms, by the database's clock: at least so long. */
  readonly leaseEndedMs: () => number
  /** Reserves room for a batch in the API's queue; false where there is none for now. */
  reserveQueue(number: number, pool: string): Promise<boolean>
  /** Frees the room of a batch that the API has not taken. With `isFull` the API said that its queue takes no more. */
  releaseQueue(number: number, isFull: boolean): Promise<void>
  /** Reserves the worst case of a batch below the cap of the whole job; what is spent and reserved where it does not fit. */
  reserveBudget(number: number, worst: bigint, cap: bigint): Promise<'reserved' | SharedSpending>
  /** Says what the answers of a batch were billed; its reservation is freed. `cap` is that of the whole job. */
  settle(number: number, spent: bigint, cap: bigint): Promise<void>
  /** What the batches of this shard were billed, as far as it is settled. */
  settled(): Promise<ReadonlyMap<number, bigint>>
  /** What the whole job spends. */
  spending(): Promise<SharedSpending>
  /** Keeps how the job was made (job.json), for commands on other machines. */
  saveCard(card: string): Promise<void>
}
