import type { Clock } from '../../core/clock.ts'
import { BatchStreamError, wholeNumber, wrongOption } from '../../core/errors.ts'
import type { JobEvent, Sealed } from '../../core/job/event.ts'
import type { SharedLedger } from '../../core/job/shared-ledger.ts'
import {
  ignoreLostSessions,
  isTransientDatabaseError,
  ledgerError,
  type LedgerPool,
} from './pool.ts'
import { prepareSchema } from './schema.ts'
import { PostgresShard, type ShardKey } from './shard.ts'

/** How long a worker keeps its shard without renewing the lease. */
export const DEFAULT_LEASE_MS = 60_000

/** A lease must outlast a few queries and a heartbeat. */
const LEAST_LEASE_MS = 1000

/** Options of `postgresLedger`. Times are in ms. */
export interface PostgresLedgerOptions {
  /** Connections to the database: a `Pool` of node-postgres, or anything with its `connect` and `query`. */
  readonly pool: LedgerPool
  /**
   * How long a worker keeps its shard without renewing the lease, in ms, at least 1000. A worker that takes the shard over waits
   * this long.
   * @default 60000
   */
  readonly leaseMs?: number | undefined
}

/**
 * A ledger in PostgreSQL: the journals of jobs, and their reservations in the API's queue and in their budgets. The tables are
 * created on first use in the schema `claude_batch_stream`.
 */
export function postgresLedger(options: PostgresLedgerOptions): SharedLedger {
  const { pool, leaseMs = DEFAULT_LEASE_MS } = options
  if (typeof pool?.connect !== 'function' || typeof pool.query !== 'function')
    throw wrongOption('pool', 'a pool with connect() and query(), as node-postgres has', pool)
  wholeNumber('leaseMs', leaseMs, LEAST_LEASE_MS, 2 ** 31 - 1)
  ignoreLostSessions(pool)
  return new PostgresLedger(pool, leaseMs)
}

/** The internal ledger behind the public one. */
export function postgresLedgerOf(ledger: SharedLedger): PostgresLedger {
  if (ledger instanceof PostgresLedger) return ledger
  throw wrongOption('ledger', 'a ledger that postgresLedger() of this package returned', ledger)
}

/** A shard in the ledger, read without taking it. */
export interface LedgerShard {
  readonly job: string
  readonly index: number
  readonly count: number
  readonly block: number
  readonly card: string | undefined
  /** Whether its lease has not ended. */
  readonly isHeld: boolean
  readonly events: readonly JobEvent[]
}

export class PostgresLedger implements SharedLedger {
  readonly leaseMs: number
  readonly #pool: LedgerPool
  #prepared: Promise<void> | undefined

  constructor(pool: LedgerPool, leaseMs: number) {
    this.#pool = pool
    this.leaseMs = leaseMs
  }

  /**
   * Takes a shard for this process.
   *
   * @throws BatchStreamError `CBS_API` when the database cannot be reached, `CBS_ACCESS` when it refuses the user,
   * `CBS_STATE` for newer tables, `CBS_INPUT` when the job has another number of shards, `CBS_JOB_IN_USE`
   */
  async take(
    key: ShardKey,
    clock: Clock,
    filesOf: (batch: Sealed) => Promise<Uint8Array>,
  ): Promise<{ shard: PostgresShard; events: JobEvent[]; epoch: number }> {
    await this.prepare()
    const { leaseMs } = this
    return await PostgresShard.take({ pool: this.#pool, key, clock, leaseMs, filesOf })
  }

  /** The shards of one job, or of all; a job that no worker has started has none. */
  async shards(job?: string): Promise<LedgerShard[]> {
    await this.prepare()
    try {
      const { rows } = await this.#pool.query(
        `select s.job, s.i, j.shards, j.block, s.card, s.lease_until > clock_timestamp() as held
         from claude_batch_stream.shard s join claude_batch_stream.job j on j.name = s.job
         where $1::text is null or s.job = $1 order by j.created_at, s.job, s.i`,
        [job ?? null],
      )
      const shards: LedgerShard[] = []
      for (const row of rows) {
        const { rows: events } = await this.#pool.query(
          `select line from claude_batch_stream.event where job = $1 and shard = $2 order by seq`,
          [row['job'], row['i']],
        )
        shards.push({
          job: String(row['job']),
          index: Number(row['i']),
          count: Number(row['shards']),
          block: Number(row['block']),
          card: typeof row['card'] === 'string' ? row['card'] : undefined,
          isHeld: row['held'] === true,
          events: events.map(({ line }) => JSON.parse(String(line))),
        })
      }
      return shards
    } catch (cause) {
      throw ledgerError('its jobs cannot be read', cause)
    }
  }

  /** Creates the tables if needed, once. */
  async prepare(): Promise<void> {
    this.#prepared ??= this.#prepare()
    try {
      await this.#prepared
    } catch (cause) {
      this.#prepared = undefined
      throw cause
    }
  }

  async #prepare(): Promise<void> {
    try {
      await prepareSchema(this.#pool).catch(async (cause: unknown) => {
        // After a restart of the database, a pool may still have old connections.
        if (cause instanceof BatchStreamError || !isTransientDatabaseError(cause)) throw cause
        await prepareSchema(this.#pool)
      })
    } catch (cause) {
      throw ledgerError('nothing was sent', cause)
    }
  }
}
