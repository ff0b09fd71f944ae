/** A ledger that jobs on several machines share; `postgresLedger()` makes one, `openJob({ ledger })` takes it. */
export interface SharedLedger {
  /** How long a shard stays its worker's without a sign of life, in ms. */
  readonly leaseMs: number
}
