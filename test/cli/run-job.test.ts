import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { discardFailedStart } from '../../lib/cli/run-job.ts'
import { lockFolder } from '../../lib/store/lock.ts'
import { openStoredJob } from '../../lib/store/open.ts'
import { csv, placeFor } from './world.ts'

t.test(
  'a failed start is kept if another process has taken it over or has sent something',
  async t => {
    const dir = t.testdir()
    const job = await openStoredJob({ dir, name: 'j' })
    const { store, name, state } = job
    const before = { store, name, shared: undefined, state: structuredClone(state) }
    await job.close()
    const lock = await lockFolder(store.folder)
    t.equal(await discardFailedStart(before), false, 'another process has it')
    await lock.release()
    const again = await openStoredJob({ dir, name: 'j' })
    const part = { number: 1, attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
    await again.note({ type: 'sealed', ...part }, true)
    await again.note({ type: 'armed', number: 1, at: 0, serverAt: null }, true)
    await again.close()
    t.equal(await discardFailedStart(before), false, 'another process has sent something')
    t.same(readdirSync(join(dir, 'jobs')), ['j'])
  },
)

t.test('a job that cannot be locked is a disk error', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}']
  await place.run(words, { stdin: csv(1) })
  const jobs = join(place.state, 'jobs')
  const [first = ''] = readdirSync(jobs)
  const { fingerprint } = JSON.parse(readFileSync(join(jobs, first, 'job.json'), 'utf8'))
  const start = join(jobs, `.starting-${String(fingerprint).slice(0, 32)}`)
  mkdirSync(start, { mode: 0o700 })
  symlinkSync('elsewhere', join(start, 'lock'))
  t.match(await place.run(words, { stdin: csv(1) }), { code: 9, out: '', err: /cannot lock/ })
  t.equal((await place.emulator.ledger.totals()).accepted, 1)
})

t.test('a file that replaced a device of the same name is not written to', async t => {
  const dir = t.testdir()
  const { openRows, rowOptionsOf } = await import('../../lib/cli/row-options.ts')
  for (const [name, found] of [
    ['there', /already exists/],
    ['gone', /cannot be opened/],
  ] as const) {
    const output = join(dir, name)
    if (name === 'there') writeFileSync(output, 'mine')
    const flags = {
      text: (flag: string) => (flag === 'output' ? output : undefined),
      has: () => false,
      given: () => false,
    }
    // Only what is used of flags, a job and the program's ends.
    const options = rowOptionsOf(flags as never)
    const job = { store: { disk: { stat: async () => 'special' } } }
    const parts = {
      job,
      options,
      columns: [],
      schema: undefined,
      signal: AbortSignal.timeout(9999),
    }
    const opened = openRows(
      parts as never,
      { stdout: {}, stderr: {} } as never,
      {} as never,
      () => {},
    )
    await t.rejects(opened, { code: 'CBS_OUTPUT', message: found })
    if (name === 'there') t.equal(readFileSync(output, 'utf8'), 'mine')
  }
})
