import t from 'tap'
import { each } from '../../lib/core/chain.ts'
import { fitsTable } from '../../lib/cli/fits-table.ts'
import { columnsIn, TableColumns } from '../../lib/cli/table-columns.ts'
import { openFor, record } from '../support/jobs.ts'

t.test('when no more rows arrive, the records so far decide the columns', async t => {
  const job = await openFor(t, t.testdir())
  await job.input.appendOrVerify(record({ a: 1 }))
  const table = new TableColumns({ job, endless: false })
  const decided = table.decide(new AbortController().signal)
  t.equal(table.names, undefined)
  table.end()
  t.same(await decided, ['a'])
  t.same(job.state.columns, ['a'])
})

t.test('without input the records so far decide at once', async t => {
  const job = await openFor(t, t.testdir())
  await job.input.appendOrVerify(record({ a: 1 }))
  const table = new TableColumns({ job, endless: true, isRead: false })
  t.same(await table.decide(new AbortController().signal), ['a'])
})

t.test('a signal ends the wait for the columns', async t => {
  const job = await openFor(t, t.testdir())
  const stop = new AbortController()
  const decided = new TableColumns({ job, endless: false }).decide(stop.signal)
  stop.abort()
  await t.rejects(decided, { name: 'AbortError' })
})

t.test('a record that arrives while the columns are being decided waits', async t => {
  const job = await openFor(t, t.testdir())
  await job.input.appendOrVerify(record({ a: 1 }))
  const table = new TableColumns({ job, endless: true, isRead: false })
  const fits = fitsTable(table, ['response'])
  const decided = table.decide(new AbortController().signal)
  while (!table.deciding) await Promise.resolve()
  const problem = { type: 'no_prompt', message: 'nothing to ask' }
  fits.write({ record: record({ a: 2, response: null }), params: {} })
  fits.write({ record: record({ b: 3 }), params: {} })
  fits.write({ record: record({ b: 4 }), problem })
  fits.end({ params: {} })
  await decided
  const items: unknown[] = []
  for await (const item of each(fits)) items.push('problem' in item ? item.problem.type : 'asked')
  t.same(items, ['asked', 'no_column', 'no_prompt', 'asked'])
})

t.test('files have four fixed columns, whatever the first file contains', async t => {
  const reading = { format: 'files', files: 1 }
  t.same(columnsIn({ from: 'files' }, reading, []), ['path', 'name', 'ext', 'text'])
})
