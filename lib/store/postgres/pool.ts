import { BatchStreamError, messageOf } from '../../core/errors.ts'

/** What a query returns, as node-postgres returns it. */
export interface LedgerRows {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** What runs queries: a pool, or one of its connections. */
export interface LedgerQueries {
  query(text: string, values?: unknown[]): Promise<LedgerRows>
}

/** A connection of a pool. */
export interface LedgerConnection extends LedgerQueries {
  /** Gives the connection back; with `destroy` it is closed. */
  release(destroy?: boolean): void
}

/** Connections to PostgreSQL: a `Pool` of node-postgres, or anything with its `connect` and `query`. */
export interface LedgerPool extends LedgerQueries {
  connect(): Promise<LedgerConnection>
}

/** Runs work in one transaction. It may be run again by the caller after a failure, so it must be idempotent. */
export async function inTransaction<T>(
  pool: LedgerPool,
  work: (connection: LedgerQueries) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect()
  let isBroken = true
  try {
    await connection.query('begin')
    const done = await work(connection)
    await connection.query('commit')
    isBroken = false
    return done
  } catch (cause) {
    isBroken = !(await connection.query('rollback').then(
      () => true,
      () => false,
    ))
    throw cause
  } finally {
    connection.release(isBroken)
  }
}

/** Node's and node-postgres's ways to say that there is no connection (any more). */
const CONNECTION_ERRORS =
  /ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND|ENOENT|terminat|timeout|not queryable|connection error|socket|Connection/i

/** SQLSTATE classes after which the same work may succeed: connections, resources, operator intervention, conflicts. */
const TRANSIENT_STATES = /^(08|53|57P|40001|40P01|55P03)/

/** Whether a query failed for a cause that may pass: the database is away or restarts, or a session was ended. */
export function isTransientDatabaseError(cause: unknown): boolean {
  const state = stateOf(cause)
  if (state !== undefined && /^[0-9A-Z]{5}$/.test(state)) return TRANSIENT_STATES.test(state)
  return CONNECTION_ERRORS.test(`${state ?? ''} ${messageOf(cause)} ${errorsIn(cause)}`)
}

function stateOf(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined
  return String(cause.code)
}

function errorsIn(cause: unknown): string {
  return cause instanceof AggregateError ? cause.errors.map(messageOf).join(' ') : ''
}

/** A failure of the database as an error of this package. Its message never holds the connection string. */
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
  return new BatchStreamError('CBS_STATE', `the ledger answers with an error (${why}); ${what}`, {
    cause,
  })
}
