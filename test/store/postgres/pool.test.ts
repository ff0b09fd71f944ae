import t from 'tap'
import { isTransientDatabaseError, ledgerError } from '../../../lib/store/postgres/pool.ts'

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
