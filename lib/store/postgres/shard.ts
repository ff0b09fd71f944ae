import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { JobEvent, Sealed } from '../../core/job/event.ts'
import { AS_ESTIMATED, isHigher, raisedLike, type Bill } from '../../core/job/raised.ts'
import type { Journal } from '../journal.ts'
import type { OverCap, Shared, SharedBill, SharedSpending } from '../shared.ts'
import {
  inTransaction,
  isTransientDatabaseError,
  ledgerError,
  type LedgerPool,
  type LedgerQueries,
  type LedgerRows,
} from './pool.ts'

/** The key of a shard in the ledger. */
export interface ShardKey {
  readonly job: string
  readonly index: number
  readonly count: number
  /** Records per block; blocks are distributed over shards. */
  readonly block: number
}

export interface ShardOptions {
  readonly pool: LedgerPool
  readonly key: ShardKey
  readonly clock: Clock
  /** How long this process keeps the shard without renewing the lease, in ms. */
  readonly leaseMs: number
  /** Returns the small files of a batch, packed. */
  readonly filesOf: (batch: Sealed) => Promise<Uint8Array>
}

/** The first and the longest pause between attempts while the database is unreachable. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000

/** How much longer than its lease to wait for a shard, since queries take time. */
const SLACK_MS = 500

/** Selects the batch with job $1, shard $2 and number $3. */
const ONE_BATCH = 'job = $1 and shard = $2 and number = $3'

/** How long the size of a full API queue is remembered. */
const FORGET_CAP = '1 hour'

/**
 * A shard that this process owns in a PostgreSQL ledger. Taking it raises its epoch, and every write checks the epoch, so a
 * process that was presumed dead can write nothing more. The lease follows the database's clock; this process relies on it for a
 * shorter time, measured by two clocks of its own.
 */
export class PostgresShard implements Journal, Shared {
  readonly #options: ShardOptions
  readonly #epoch: string
  readonly #lost = new AbortController()
  readonly #closed = new AbortController()
  readonly #takenAt: number
  readonly #leaseEndedMs: number
  #next: number
  #deadline: Deadline
  #last: Promise<unknown> = Promise.resolve()
  readonly #beating: Promise<void>

  private constructor(options: ShardOptions, taken: TakenShard, deadline: Deadline) {
    this.#options = options
    this.#epoch = taken.epoch
    this.#next = taken.lines.length + 1
    this.#takenAt = options.clock.elapsed()
    this.#leaseEndedMs = taken.leaseEndedMs
    this.#deadline = deadline
    this.#beating = this.#beat()
  }

  /**
   * Takes a shard once the lease of its owner has ended, and returns its events.
   *
   * @throws BatchStreamError `CBS_JOB_IN_USE` if the owner is still alive after one lease
   */
  static async take(
    options: ShardOptions,
  ): Promise<{ shard: PostgresShard; events: JobEvent[]; epoch: number }> {
    const { clock, leaseMs, key } = options
    const owner = randomUUID()
    const began = clock.elapsed()
    const nothingSent = 'nothing was sent'
    let limitMs: number | undefined
    for (let failures = 0; ;) {
      const deadline = deadlineFrom(clock, leaseMs)
      try {
        const taken = await inTransaction(options.pool, connection =>
          takeShard(connection, options, owner),
        )
        if ('lines' in taken) {
          const events: JobEvent[] = taken.lines.map(line => JSON.parse(line))
          const shard = new PostgresShard(options, taken, deadline)
          return { shard, events, epoch: Number(taken.epoch) }
        }
        // The owner's lease may be longer than this worker's.
        limitMs ??= Math.max(leaseMs, taken.heldForMs) + SLACK_MS
        if (clock.elapsed() - began > limitMs) throw inUse(key)
        await clock.sleep(Math.min(Math.max(taken.heldForMs, 20), 1000))
      } catch (cause) {
        failures += 1
        if (!isTransientDatabaseError(cause) || failures > 3) throw ledgerError(nothingSent, cause)
        await clock.sleep(FIRST_PAUSE_MS * 2 ** failures)
      }
    }
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  readonly leaseEndedMs = (): number =>
    this.#leaseEndedMs + this.#options.clock.elapsed() - this.#takenAt

  assertOwned(): void {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason
    if (isPast(this.#options.clock, this.#deadline)) throw leaseEnded()
  }

  append(event: JobEvent, _durable: boolean): Promise<void> {
    return this.#inTurn(async () => {
      const seq = this.#next
      const line = JSON.stringify(event)
      const files = await this.#filesOf(event)
      try {
        await this.#fenced(async connection => {
          const { job, index } = this.#options.key
          const added = await connection.query(
            `insert into claude_batch_stream.event (job, shard, seq, epoch, line)
             values ($1, $2, $3, $4, $5) on conflict do nothing returning seq`,
            [job, index, seq, this.#epoch, line],
          )
          // It exists: an earlier attempt was committed, and the reply was lost.
          if (added.rows.length === 0) return await this.#mustBeOurs(connection, seq, line)
          await this.#follow(connection, event, files)
        })
        this.#next = seq + 1
      } catch (cause) {
        if (event.type === 'submitted') await this.#saveLateId(event.number, event.id)
        throw cause
      }
    })
  }

  async ownedElsewhere(): Promise<ReadonlySet<string>> {
    const { job, index } = this.#options.key
    const { rows } = await this.#query(
      `select id from claude_batch_stream.batch where id is not null and not (job = $1 and shard = $2)`,
      [job, index],
    )
    return new Set(rows.map(({ id }) => String(id)))
  }

  async lateIdOf(number: number): Promise<string | undefined> {
    const { pool } = this.#options
    const batch = await this.#retrying(() => this.#read(pool, number, 'late_id'))
    const id = batch?.['late_id']
    return typeof id === 'string' ? id : undefined
  }

  reserveQueue(number: number, pool: string): Promise<boolean> {
    return this.#inTurn(() =>
      this.#fenced(async connection => {
        const batch = await this.#read(connection, number, 'requests, pool', 'for update')
        if (batch?.['pool'] != null) return true
        await connection.query(
          `insert into claude_batch_stream.pool (name) values ($1) on conflict do nothing`,
          [pool],
        )
        const room = await connection.query(
          `update claude_batch_stream.pool
           set used = used + $2::bigint,
               cap = case when cap_until > clock_timestamp() then cap end
           where name = $1 and (cap is null or cap_until <= clock_timestamp()
             or used = 0 or used + $2::bigint <= cap)
           returning name`,
          [pool, batch?.['requests']],
        )
        if (room.rows.length === 0) return false
        await this.#update(connection, number, 'pool = $4', pool)
        return true
      }),
    )
  }

  releaseQueue(number: number, isFull: boolean): Promise<void> {
    return this.#inTurn(() =>
      this.#fenced(async connection => {
        const pool = await this.#freeQueue(connection, number)
        if (!isFull || pool === undefined) return
        // Our requests in flight are what fits. If there are none, another program fills the queue.
        await connection.query(
          `update claude_batch_stream.pool
           set cap = nullif(used, 0), cap_until = clock_timestamp() + interval '${FORGET_CAP}'
           where name = $1`,
          [pool],
        )
      }),
    )
  }

  reserveBudget(number: number, worst: bigint, cap: bigint): Promise<'reserved' | OverCap> {
    const { job } = this.#options.key
    return this.#inTurn(() =>
      this.#fenced(async connection => {
        await connection.query(
          `insert into claude_batch_stream.budget (job, cap) values ($1, $2::numeric)
           on conflict (job) do update set cap = excluded.cap`,
          [job, String(cap)],
        )
        const uncapped = await this.#uncappedIn(connection)
        const batch = await this.#read(connection, number, 'reserved::text')
        const known = BigInt(String(batch?.['reserved']))
        // The insert has locked the row, so nothing changes in between.
        const all = await budgetOf(connection, job)
        const raised = raisedLike(all.most)
        const over = {
          spent: all.spent,
          reserved: raised(all.reserved - known),
          worst: raised(worst),
        }
        if (uncapped !== undefined) return { ...over, uncapped }
        if (over.spent + over.reserved + over.worst > cap) return over
        if (known > 0n) return 'reserved'
        await connection.query(
          `update claude_batch_stream.budget set reserved = reserved + $2::numeric where job = $1`,
          [job, String(worst)],
        )
        await this.#update(connection, number, 'reserved = $4::numeric', String(worst))
        return 'reserved'
      }),
    )
  }

  /** Another shard with batches that were sent without a reservation, and whose bills are not settled. */
  async #uncappedIn(connection: LedgerQueries): Promise<number | undefined> {
    const { job, index } = this.#options.key
    const { rows } = await connection.query(
      `select shard from claude_batch_stream.batch where job = $1 and shard <> $2 and requests > 0
       and phase not in ('sealed', 'void') and reserved = 0 and spent is null limit 1`,
      [job, index],
    )
    return rows[0] && Number(rows[0]['shard'])
  }

  settle(number: number, { spent, isWhole }: SharedBill, cap: bigint): Promise<void> {
    const { job } = this.#options.key
    return this.#inTurn(() =>
      this.#fenced(async connection => {
        const batch = await this.#read(connection, number, 'reserved::text, spent::text')
        if (batch === undefined || batch['spent'] !== null) return
        // The update locks a row that exists, so that no other shard changes it in between.
        await connection.query(
          `insert into claude_batch_stream.budget as budget (job, cap) values ($1, $2::numeric)
           on conflict (job) do update set cap = budget.cap`,
          [job, String(cap)],
        )
        const bill = { spent, reserved: BigInt(String(batch['reserved'])) }
        const { most } = await budgetOf(connection, job)
        const highest = bill.reserved > 0n && isHigher(bill, most) ? bill : most
        const worst = raisedLike(highest)(bill.reserved)
        const counted = isWhole || spent > worst ? spent : worst
        await connection.query(
          `update claude_batch_stream.budget
           set spent = spent + $2::numeric, reserved = reserved - $3::numeric,
               billed = $4::numeric, estimated = $5::numeric
           where job = $1`,
          [job, ...[counted, bill.reserved, highest.spent, highest.reserved].map(String)],
        )
        const set = 'spent = $4::numeric, reserved = 0'
        await this.#update(connection, number, set, String(counted))
      }),
    )
  }

  async settled(): Promise<ReadonlyMap<number, bigint>> {
    const { job, index } = this.#options.key
    const { rows } = await this.#query(
      `select number, spent::text from claude_batch_stream.batch
       where job = $1 and shard = $2 and spent is not null`,
      [job, index],
    )
    return new Map(rows.map(({ number, spent }) => [Number(number), BigInt(String(spent))]))
  }

  async spending(): Promise<SharedSpending> {
    return await this.#retrying(() => spendingOf(this.#options.pool, this.#options.key.job))
  }

  async saveCard(card: string): Promise<void> {
    const { job, index } = this.#options.key
    await this.#query(
      `update claude_batch_stream.shard set card = $4 where job = $1 and i = $2 and epoch = $3`,
      [job, index, this.#epoch, card],
    )
  }

  /** The packed files of a batch; undefined if the ledger has none. */
  async filesOfBatch(number: number): Promise<Uint8Array | undefined> {
    const { pool } = this.#options
    const batch = await this.#retrying(() => this.#read(pool, number, 'files'))
    const files = batch?.['files']
    return files instanceof Uint8Array ? files : undefined
  }

  /** Ends the lease, so that the next owner need not wait. */
  async close(): Promise<void> {
    this.#closed.abort()
    await this.#last.catch(() => {})
    await this.#beating
    if (this.#lost.signal.aborted) return
    const { job, index } = this.#options.key
    await this.#options.pool
      .query(
        `update claude_batch_stream.shard set lease_until = clock_timestamp(), owner = null
         where job = $1 and i = $2 and epoch = $3`,
        [job, index, this.#epoch],
      )
      // If this fails, the lease ends by itself.
      .catch(() => {})
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }

  async #filesOf(event: JobEvent): Promise<ReadonlyMap<number, Uint8Array>> {
    const files = new Map<number, Uint8Array>()
    const batches = event.type === 'sealed' ? [event] : event.type === 'split' ? event.into : []
    for (const batch of batches) files.set(batch.number, await this.#options.filesOf(batch))
    return files
  }

  /** Runs work in a transaction that first verifies the ownership of the shard and renews the lease. */
  async #fenced<T>(work: (connection: LedgerQueries) => Promise<T>): Promise<T> {
    const { pool, key, leaseMs, clock } = this.#options
    return await this.#retrying(async () => {
      const deadline = deadlineFrom(clock, leaseMs)
      const done = await inTransaction(pool, async connection => {
        const owned = await connection.query(
          `update claude_batch_stream.shard
           set lease_until = clock_timestamp() + $4::float8 * interval '1 millisecond'
           where job = $1 and i = $2 and epoch = $3 returning epoch`,
          [key.job, key.index, this.#epoch, leaseMs],
        )
        if (owned.rows.length === 0) throw this.#lose(takenOver(key))
        return await work(connection)
      })
      this.#deadline = deadline
      return done
    })
  }

  async #query(
    text: string,
    values: unknown[],
  ): Promise<{ rows: readonly Record<string, unknown>[] }> {
    return await this.#retrying(() => this.#options.pool.query(text, values))
  }

  /** Repeats work while the database is unreachable and the lease has not ended. */
  async #retrying<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#options
    let failures = 0
    for (;;) {
      if (this.#lost.signal.aborted) throw this.#lost.signal.reason
      try {
        return await work()
      } catch (cause) {
        if (!isTransientDatabaseError(cause)) throw ledgerError('nothing more is sent', cause)
        if (isPast(clock, this.#deadline))
          throw this.#lose(ledgerError('its lease has ended, so nothing more is sent', cause))
        await clock.sleep(Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS))
        failures += 1
      }
    }
  }

  #lose(reason: BatchStreamError): BatchStreamError {
    if (!this.#lost.signal.aborted) this.#lost.abort(reason)
    return reason
  }

  async #mustBeOurs(connection: LedgerQueries, seq: number, line: string): Promise<void> {
    const { job, index } = this.#options.key
    const { rows } = await connection.query(
      `select line, epoch::text from claude_batch_stream.event where job = $1 and shard = $2 and seq = $3`,
      [job, index, seq],
    )
    if (rows[0]?.['line'] !== line || rows[0]['epoch'] !== this.#epoch)
      throw this.#lose(takenOver(this.#options.key))
  }

  /** Applies an event to the other tables in the same transaction. Lock order: shard, batch, pool, budget. */
  async #follow(
    connection: LedgerQueries,
    event: JobEvent,
    files: ReadonlyMap<number, Uint8Array>,
  ): Promise<void> {
    const { job, index } = this.#options.key
    const insert = async ({ number, requests }: Sealed): Promise<void> => {
      await connection.query(
        `insert into claude_batch_stream.batch (job, shard, number, requests, phase, files)
         values ($1, $2, $3, $4, 'sealed', $5)`,
        [job, index, number, requests, files.get(number)],
      )
    }
    switch (event.type) {
      case 'sealed':
        return await insert(event)
      case 'split':
        await this.#setPhase(connection, event.number, 'void')
        await this.#freeQueue(connection, event.number)
        await this.#freeBudget(connection, event.number)
        for (const part of event.into) await insert(part)
        return
      case 'armed':
        return await this.#setPhase(connection, event.number, 'armed')
      case 'disarmed':
        return await this.#setPhase(connection, event.number, 'sealed')
      case 'submitted':
        return await this.#update(
          connection,
          event.number,
          `phase = 'submitted', id = $4`,
          event.id,
        )
      case 'ended':
        await this.#setPhase(connection, event.number, 'ended')
        await this.#freeQueue(connection, event.number)
        return
      case 'fetched':
        return await this.#setPhase(connection, event.number, 'fetched')
    }
  }

  async #setPhase(connection: LedgerQueries, number: number, phase: string): Promise<void> {
    await this.#update(connection, number, 'phase = $4', phase)
  }

  /** Columns of a batch; undefined if the ledger does not have it. */
  async #read(
    connection: LedgerQueries,
    number: number,
    columns: string,
    locking = '',
  ): Promise<LedgerRows['rows'][number] | undefined> {
    const { rows } = await connection.query(
      `select ${columns} from claude_batch_stream.batch where ${ONE_BATCH} ${locking}`,
      this.#keyOf(number),
    )
    return rows[0]
  }

  /** Sets columns of a batch; values start at $4. */
  async #update(
    connection: LedgerQueries,
    number: number,
    set: string,
    ...values: unknown[]
  ): Promise<void> {
    await connection.query(`update claude_batch_stream.batch set ${set} where ${ONE_BATCH}`, [
      ...this.#keyOf(number),
      ...values,
    ])
  }

  #keyOf(number: number): unknown[] {
    const { job, index } = this.#options.key
    return [job, index, number]
  }

  /** Releases the reservation of a batch in the API's queue and returns its pool. */
  async #freeQueue(connection: LedgerQueries, number: number): Promise<string | undefined> {
    const batch = await this.#read(connection, number, 'requests, pool', 'for update')
    const pool = batch?.['pool']
    if (typeof pool !== 'string') return undefined
    await this.#update(connection, number, 'pool = null')
    await connection.query(
      `update claude_batch_stream.pool set used = used - $2::bigint where name = $1`,
      [pool, batch?.['requests']],
    )
    return pool
  }

  async #freeBudget(connection: LedgerQueries, number: number): Promise<void> {
    await connection.query(
      `update claude_batch_stream.budget set reserved = reserved - (
         select reserved from claude_batch_stream.batch where ${ONE_BATCH})
       where job = $1`,
      this.#keyOf(number),
    )
    await this.#update(connection, number, 'reserved = 0')
  }

  /** Stores the id of a batch for the new owner, since this process can no longer journal it. */
  async #saveLateId(number: number, id: string): Promise<void> {
    await this.#options.pool
      .query(
        `update claude_batch_stream.batch set late_id = $4
         where ${ONE_BATCH} and id is null`,
        [...this.#keyOf(number), id],
      )
      // If this fails, the new owner finds the batch in the API's list.
      .catch(() => {})
  }

  /** Renews the lease while nothing is appended. */
  async #beat(): Promise<void> {
    const { clock, leaseMs } = this.#options
    const pause = async (): Promise<boolean> =>
      await clock.sleep(leaseMs / 3, this.#closed.signal).then(
        () => true,
        () => false,
      )
    while (await pause()) {
      if (this.#lost.signal.aborted) return
      await this.#inTurn(() => this.#fenced(async () => {})).catch(() => {})
    }
  }
}

/** The time from which this process no longer relies on its lease, by two clocks. */
interface Deadline {
  readonly elapsed: number
  readonly wall: number
}

/** Counted from before the renewal was sent, and a fifth of the lease before its end. */
function deadlineFrom(clock: Clock, leaseMs: number): Deadline {
  const validMs = leaseMs * 0.8
  return { elapsed: clock.elapsed() + validMs, wall: clock.now() + validMs }
}

/** The monotonic clock stops while a machine sleeps, and the wall clock may be set back, so either one counts. */
function isPast(clock: Clock, { elapsed, wall }: Deadline): boolean {
  return clock.elapsed() >= elapsed || clock.now() >= wall
}

interface TakenShard {
  readonly epoch: string
  readonly lines: readonly string[]
  readonly leaseEndedMs: number
}

async function takeShard(
  connection: LedgerQueries,
  { key, leaseMs }: ShardOptions,
  owner: string,
): Promise<TakenShard | { readonly heldForMs: number }> {
  const { job, index, count, block } = key
  await connection.query(
    `insert into claude_batch_stream.job (name, shards, block) values ($1, $2, $3) on conflict do nothing`,
    [job, count, block],
  )
  const { rows: jobs } = await connection.query(
    `select shards, block from claude_batch_stream.job where name = $1`,
    [job],
  )
  const [{ shards, block: knownBlock } = {}] = jobs
  if (shards !== count || knownBlock !== block)
    throw new BatchStreamError(
      'CBS_INPUT',
      `job ${job} was started with ${String(shards)} shards and blocks of ${String(knownBlock)} records, not ${count} and ${block}: use the same values, or another job name; nothing was sent`,
    )
  await connection.query(
    `insert into claude_batch_stream.shard (job, i) values ($1, $2) on conflict do nothing`,
    [job, index],
  )
  const { rows } = await connection.query(
    `select owner, epoch::text,
       case when lease_until = '-infinity' then null
         else extract(epoch from clock_timestamp() - lease_until)::float8 * 1000 end as ended_ms
     from claude_batch_stream.shard where job = $1 and i = $2 for update`,
    [job, index],
  )
  const [held = {}] = rows
  let { epoch } = held
  const endedMs = held['ended_ms'] === null ? Infinity : Number(held['ended_ms'])
  // An earlier attempt may have taken it, with its reply lost.
  if (held['owner'] !== owner) {
    if (endedMs < 0) return { heldForMs: -endedMs }
    const taken = await connection.query(
      `update claude_batch_stream.shard
       set owner = $3, epoch = epoch + 1,
           lease_until = clock_timestamp() + $4::float8 * interval '1 millisecond'
       where job = $1 and i = $2 returning epoch::text`,
      [job, index, owner, leaseMs],
    )
    epoch = taken.rows[0]?.['epoch']
  }
  const lines = await connection.query(
    `select seq, line from claude_batch_stream.event where job = $1 and shard = $2 order by seq`,
    [job, index],
  )
  const lost = lines.rows.findIndex(({ seq }, at) => Number(seq) !== at + 1)
  if (lost !== -1) throw lostEvents(key, lost + 1)
  return {
    epoch: String(epoch),
    lines: lines.rows.map(({ line }) => String(line)),
    leaseEndedMs: Math.max(0, endedMs),
  }
}

async function spendingOf(connection: LedgerQueries, job: string): Promise<SharedSpending> {
  const { spent, reserved, most } = await budgetOf(connection, job)
  return { spent, reserved: raisedLike(most)(reserved) }
}

/** What the shards of a job have spent and reserved, and the bill as far as which worst cases are raised. */
async function budgetOf(
  connection: LedgerQueries,
  job: string,
): Promise<{ readonly spent: bigint; readonly reserved: bigint; readonly most: Bill }> {
  const { rows } = await connection.query(
    `select spent::text, reserved::text, billed::text, estimated::text
     from claude_batch_stream.budget where job = $1`,
    [job],
  )
  const [row] = rows
  if (!row) return { spent: 0n, reserved: 0n, most: AS_ESTIMATED }
  const amountOf = (column: string): bigint => BigInt(String(row[column]))
  return {
    spent: amountOf('spent'),
    reserved: amountOf('reserved'),
    most: { spent: amountOf('billed'), reserved: amountOf('estimated') },
  }
}

function nameOf({ job, index, count }: ShardKey): string {
  return count > 1 ? `shard ${index} of job ${job}` : `job ${job}`
}

/** A database may lose what it has committed, and its client may have gone on: failover to an asynchronous replica. */
function lostEvents(key: ShardKey, seq: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the ledger has lost event ${seq} of ${nameOf(key)} and has later ones, as after a failover to a replica that lagged behind: batches may be in flight that it does not know, so nothing was sent`,
  )
}

function inUse(key: ShardKey): BatchStreamError {
  return new BatchStreamError(
    'CBS_JOB_IN_USE',
    `according to the ledger, another worker has ${nameOf(key)}; nothing was sent`,
  )
}

function takenOver(key: ShardKey): BatchStreamError {
  return new BatchStreamError(
    'CBS_JOB_IN_USE',
    `another worker has taken over ${nameOf(key)} because the lease of this one had ended; it sends nothing more`,
  )
}

function leaseEnded(): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    'the lease on the job ended, so nothing more is sent or written: run the same command again',
  )
}
