import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  inTransaction,
  isTransientDatabaseError,
  ledgerError,
} from '../../../lib/store/postgres/pool.ts'
import { NO_POSTGRES, startPostgres } from '../../support/postgres.ts'

t.test(
  'an unreachable database is recognised by codes, messages and the causes of several tries',
  t => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:5432'), {
      code: 'ECONNREFUSED',
    })
    for (const cause of [
      refused,
      new AggregateError([refused, refused], ''),
      new Error('Connection terminated unexpectedly'),
      Object.assign(new Error('the database system is starting up'), { code: '57P03' }),
    ])
      t.ok(isTransientDatabaseError(cause), String(cause))
    for (const cause of [
      new Error('a bug'),
      'a text',
      Object.assign(new Error(), { code: '42P01' }),
    ])
      t.notOk(isTransientDatabaseError(cause), String(cause))
    const several = ledgerError('nothing was sent', new AggregateError([refused], ''))
    t.match(several, { code: 'CBS_API', message: /ECONNREFUSED/ })
    t.match(ledgerError('nothing was sent', new Error('a bug')), { code: 'CBS_STATE' })
    t.match(ledgerError('nothing was sent', Object.assign(new Error(''), { code: '42P01' })), {
      message: /42P01/,
    })
    t.end()
  },
)

t.test(
  'a session that is ended between two queries of a transaction fails the next query, and the pool goes on',
  { skip: NO_POSTGRES },
  async t => {
    const server = await startPostgres()
    t.teardown(() => server.stop())
    const pool = server.pool()
    const lost = inTransaction(pool, async connection => {
      const { rows } = await connection.query('select pg_backend_pid() as pid')
      await pool.query('select pg_terminate_backend($1)', [rows[0]?.['pid']])
      const isThere = 'select from pg_stat_activity where pid = $1'
      while ((await pool.query(isThere, [rows[0]?.['pid']])).rowCount) await sleep(1)
      // The end of the session arrives while no query of it is running.
      await sleep(20)
      await connection.query('select 1')
    })
    t.ok(isTransientDatabaseError(await lost.catch((cause: unknown) => cause)))
    const { rows } = await inTransaction(pool, connection => connection.query('select 2 as two'))
    t.same(rows, [{ two: 2 }])
    const connection = await pool.connect()
    t.equal(connection.listenerCount('error'), 0, 'the transaction left no listener behind')
    connection.release()
  },
)
