import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  ignoreLostSessions,
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
      Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
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

/** The first message of a session that is ready, and the error of one that an administrator ends. */
const READY = Buffer.from('Z\0\0\0\u0005I', 'latin1')
const ENDED = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0')

t.test(
  'a session that ends in the moment in which it is ready does not end the process',
  { skip: NO_POSTGRES },
  async t => {
    const server = await startPostgres()
    t.teardown(() => server.stop())
    const { port } = new URL(server.url)
    // Both messages arrive at once, so that the pool passes on a connection that is already lost.
    const proxy = createServer(client => {
      const upstream = connect(Number(port), '127.0.0.1')
      client.on('error', () => {}).on('data', bytes => upstream.write(bytes))
      upstream
        .on('error', () => {})
        .on('data', bytes => {
          if (!bytes.subarray(-READY.length).equals(READY)) return client.write(bytes)
          const head = Buffer.from([0x45, 0, 0, 0, ENDED.length + 4])
          upstream.destroy()
          return client.end(Buffer.concat([bytes, head, ENDED]))
        })
    })
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => proxy.close())
    const url = new URL(server.url)
    url.port = String((proxy.address() as AddressInfo).port)
    const pool = server.pool(url.href)
    ignoreLostSessions(pool)
    const failed = await inTransaction(pool, one => one.query('select 1')).catch(
      (cause: unknown) => cause,
    )
    t.ok(isTransientDatabaseError(failed), String(failed))
  },
)

t.test(
  'a worker that is frozen in a transaction holds up others for seconds only, and repeats it',
  { skip: NO_POSTGRES },
  async t => {
    const server = await startPostgres()
    t.teardown(() => server.stop())
    const pool = server.pool()
    await pool.query('create table pool (used int)')
    await pool.query('insert into pool values (0)')
    let thaw = (): void => {}
    const isFrozen = new Promise<void>(resolve => (thaw = resolve))
    let begin = (): void => {}
    const hasBegun = new Promise<void>(resolve => (begin = resolve))
    const frozen = inTransaction(pool, async one => {
      await one.query('update pool set used = used + 1')
      begin()
      await isFrozen
      await one.query('update pool set used = used + 1')
    }).catch((cause: unknown) => cause)
    await hasBegun
    await inTransaction(pool, async one => await one.query('update pool set used = used + 10'))
    thaw()
    const failed = await frozen
    t.ok(isTransientDatabaseError(failed), String(failed))
    t.same((await pool.query('select used from pool')).rows, [{ used: 10 }])
  },
)
