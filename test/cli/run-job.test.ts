import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
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

t.test('a retry of a job that has a copy beside it is not sent', async t => {
  const error = { type: 'invalid_request_error' }
  const errored = [{ index: 1, times: 1, error }]
  const place = await placeFor(t, { faults: [{ on: 'create', errored }] })
  await place.run(['-p', 'Say {{text}}', '--job', 'j'], { stdin: csv(3) })
  const [job, copy] = ['j', 'j.bak'].map(name => join(place.state, 'jobs', name)) as [
    string,
    string,
  ]
  cpSync(job, copy, { recursive: true })
  for (const name of ['j', 'j.bak']) {
    const refused = await place.run(['retry', name])
    t.match(refused, { code: 10, out: '', err: /are copies of one job.*nothing was sent/ })
    t.equal((await place.run(['results', name])).rows.length, 3, 'its rows can be read')
  }
  t.equal((await place.emulator.ledger.totals()).accepted, 3)
  rmSync(copy, { recursive: true })
  t.equal((await place.run(['retry', 'j'])).code, 0)
  t.equal((await place.emulator.ledger.totals()).accepted, 4)
})

t.test('the command of a job with a damaged job.json is not paid for again', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}']
  await place.run([...words, '--detach'], { stdin: csv(3) })
  const [name = ''] = readdirSync(join(place.state, 'jobs'))
  const path = join(place.state, 'jobs', name, 'job.json')
  const card = readFileSync(path, 'utf8')
  const [, fingerprint = ''] = /"fingerprint": "(\w+)"/.exec(card) ?? []
  for (const [how, changed] of [
    ['empty', ''],
    ['zeroed', '\0'.repeat(card.length)],
    ['cut', card.slice(0, 100)],
    ['another fingerprint', card.replace(fingerprint, fingerprint.replace(/./, 'x'))],
    ['no card', undefined],
  ] as const) {
    if (changed === undefined) rmSync(path)
    else writeFileSync(path, changed)
    const again = await place.run(words, { stdin: csv(3) })
    t.match(again, { code: 10, out: '', err: new RegExp(`job ${name} .*job.json`) }, how)
  }
  t.match(await place.run(words, { stdin: csv(2) }), { code: 10 }, 'the first record identifies it')
  t.equal((await place.emulator.ledger.totals()).accepted, 3)
  t.equal((await place.run([...words, '--fresh'], { stdin: csv(3) })).code, 0)
  const other = await place.run(['-p', 'Other: {{text}}'], { stdin: csv(3) })
  t.equal(other.code, 0, 'another command')
  writeFileSync(path, card)
  t.equal((await place.run(words, { stdin: csv(3) })).code, 0)
  t.equal((await place.emulator.ledger.totals()).accepted, 9)
})

t.test('while a job cannot be read at all, commands without a name start no job', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}']
  await place.run([...words, '--detach'], { stdin: csv(3) })
  const jobs = join(place.state, 'jobs')
  const [name = ''] = readdirSync(jobs)
  for (const file of ['job.json', 'journal.jsonl']) {
    renameSync(join(jobs, name, file), join(jobs, name, `was-${file}`))
    mkdirSync(join(jobs, name, file))
  }
  const again = await place.run(words, { stdin: csv(3) })
  t.match(again, { code: 9, err: /may be a job of this command \(--fresh starts a new one\)/ })
  rmSync(join(jobs, name, 'journal.jsonl'), { recursive: true })
  writeFileSync(join(jobs, name, 'journal.jsonl'), 'no journal\n')
  t.match(await place.run(words, { stdin: csv(3) }), { code: 9, err: /may be a job of this/ })
  t.equal((await place.emulator.ledger.totals()).accepted, 3)
  t.equal((await place.run([...words, '--fresh'], { stdin: csv(3) })).code, 0)
  t.equal((await place.run([...words, '--job', 'named'], { stdin: csv(3) })).code, 0)
})

t.test('a damaged job of the library is no job of a command', async t => {
  const place = await placeFor(t)
  await (await openStoredJob({ dir: place.state, name: 'library' })).close()
  appendFileSync(join(place.state, 'jobs/library/journal.jsonl'), 'x'.repeat(2000))
  t.equal((await place.run(['-p', 'Say {{text}}'], { stdin: csv(1) })).code, 0)
})

t.test('a file that replaced a device of the same name is not written to', async t => {
  const dir = t.testdir()
  const { openRows } = await import('../../lib/cli/open-rows.ts')
  const { rowOptionsOf } = await import('../../lib/cli/row-options.ts')
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
