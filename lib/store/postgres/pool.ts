import { BatchStreamError, messageOf } from '../../core/errors.ts'

/** The result of a query, as in node-postgres. */
export interface LedgerRows {
  /** The rows, each with its columns by name. */
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** Runs queries: a pool or one of its connections. */
export interface LedgerQueries {
  /** Runs one query; `$1` is the first of `values`. */
  query(text: string, values?: unknown[]): Promise<LedgerRows>
}

/** A connection of a pool. */
export interface LedgerConnection extends LedgerQueries {
  /** Returns the connection to the pool; with `destroy`, closes it. */
  release(destroy?: boolean): void
  /** Adds a listener for the loss of the connection between two queries, as in node-postgres. */
  on?(event: 'error', listener: (cause: Error) => void): unknown
  /** Removes it. */
  off?(event: 'error', listener: (cause: Error) => void): unknown
}

/** Connections to PostgreSQL: a `Pool` of node-postgres, or anything with its `connect` and `query`. */
export interface LedgerPool extends LedgerQueries {
  /** Returns a connection for a transaction. */
  connect(): Promise<LedgerConnection>
  /** Adds a listener for new connections, as in node-postgres. */
  on?(event: 'connect', listener: (connection: LedgerConnection) => void): unknown
}

/**
 * Keeps a session that ends from ending the process: node-postgres reports that by an event, also between the moment when a pool
 * passes on a connection and the one when its caller gets it. The next query fails as well.
 */
export function ignoreLostSessions(pool: LedgerPool): void {
  pool.on?.('connect', connection => connection.on?.('error', ignoreLoss))
}

/**
 * How long a session may hold its locks while its client says nothing, in ms. A worker that is frozen or cut off would hold them
 * for hours, and with them all workers. One that is only slow repeats its transaction.
 */
const MAX_IDLE_MS = 5000

/** How long a statement waits for a lock, in ms. Its client has given up by then. */
const MAX_LOCK_MS = 15_000

/** Runs work in a transaction. Callers repeat it after a failure, so it must be idempotent. */
export async function inTransaction<T>(
  pool: LedgerPool,
  work: (connection: LedgerQueries) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect()
  // A pool that was in use before the ledger has connections without a listener.
  connection.on?.('error', ignoreLoss)
  let isBroken = true
  const transaction = async (): Promise<T> => {
    await connection.query('begin')
    // What is journaled must survive a crash of the database, too.
    await connection.query(
      `select set_config('idle_in_transaction_session_timeout', $1, true), set_config('lock_timeout', $2, true),
       set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)`,
      [`${MAX_IDLE_MS}`, `${MAX_LOCK_MS}`],
    )
    const done = await work(connection)
    await connection.query('commit')
    isBroken = false
    return done
  }
  const rollBack = async (cause: unknown): Promise<never> => {
    await connection.query('rollback').then(
      () => (isBroken = false),
      () => {},
    )
    throw cause
  }
  return await transaction()
    .catch(rollBack)
    .finally(() => {
      // A connection that is destroyed may still report its loss.
      if (!isBroken) connection.off?.('error', ignoreLoss)
      connection.release(isBroken)
    })
}

function ignoreLoss(): void {}

/** How Node and node-postgres report a missing or lost connection. */
const CONNECTION_ERRORS =
  /ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND|ENOENT|terminat|timeout|not queryable|connection error|socket|Connection/i

/**
 * SQLSTATE classes after which a repetition may succeed: connections, resources, operator intervention, time limits, a server that is
 * read-only for a while, conflicts.
 */
const TRANSIENT_STATES = /^(08|53|57P|57014|25006|25P03|40001|40P01|55P03)/

/** Whether a query may succeed when repeated: the database is unreachable or restarting, or a session was ended. */
export function isTransientDatabaseError(cause: unknown): boolean {
  const state = stateOf(cause)
  // Every SQLSTATE has a digit; EPIPE has none.
  if (state !== undefined && /^(?=.*\d)[0-9A-Z]{5}$/.test(state))
    return TRANSIENT_STATES.test(state)
  return CONNECTION_ERRORS.test(`${state ?? ''} ${messageOf(cause)} ${errorsIn(cause)}`)
}

function stateOf(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined
  return String(cause.code)
}

function errorsIn(cause: unknown): string {
  return cause instanceof AggregateError ? cause.errors.map(messageOf).join(' ') : ''
}

/** Wraps a failure of the database. The message never contains the connection string. */
export function ledgerError(what: string, cause: unknown): BatchStreamError {
  if (cause instanceof BatchStreamError) return cause
  const state = stateOf(cause) ?? ''
  const why = messageOf(cause) || errorsIn(cause) || state
  if (/^(28|3D)/.test(state) || state === '42501' || /password/i.test(why))
    return new BatchStreamError(
      'CBS_ACCESS',
      `the ledger refuses the connection (${why}): check its user, password and database; ${what}`,
      { cause },
    )
  if (isTransientDatabaseError(cause))
    return new BatchStreamError('CBS_API', `the ledger cannot be reached (${why}); ${what}`, {
      cause,
    })
  return new BatchStreamError('CBS_STATE', `the ledger returned an error (${why}); ${what}`, {
    cause,
  })
}
