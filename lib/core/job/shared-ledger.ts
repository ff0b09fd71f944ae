/** A ledger that jobs on several machines share; `postgresLedger()` makes one, `openJob({ ledger })` takes it. */
export interface SharedLedger {
  /** How long a worker keeps its shard without renewing the lease, in ms. */
  readonly leaseMs: number
}
