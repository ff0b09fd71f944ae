import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { openJob } from '../../lib/store/open.ts'
import { csv, placeFor, run, until, type Place } from './world.ts'
import { needs } from '../support/needs.ts'

const jobsOf = (place: Place): string[] => {
  const folder = join(place.state, 'jobs')
  return existsSync(folder) ? readdirSync(folder) : []
}
const ASK = ['-p', 'Say {{text}}', '--job', 'a']

t.test('R05: a start that fails leaves no job', async t => {
  const place = await placeFor(t, {}, { 'bad.json': '{"type":', 'none.mjs': 'export default 1' })
  for (const [code, words] of [
    [2, ['-p', 'Say {{text}}', '-m', 'haiku']],
    [6, ['-p', 'Say {{text}}', '-o', '/nonexist/x']],
    [6, ['-p', 'Say {{text}}', '--errors', '/nonexist/x']],
    [6, ['-p', 'Say {{text}}', '-o', '/nonexist/x', '--detach']],
    [9, ['-p', 'Say {{text}}', '-o', '/dev/null/x']],
    [2, ['-p', 'Say {{text}}', '--schema', place.path('bad.json')]],
    [2, ['--template', place.path('none.mjs')]],
  ] as const) {
    const ran = await place.run(words, { stdin: csv(3) })
    t.equal(ran.code, code, `${words.join(' ')}: ${ran.err}`)
    t.same(jobsOf(place), [], words.join(' '))
    t.notMatch(ran.err, /to continue|to retry/)
  }
  t.match(await place.run(['resume']), { code: 2, err: /no job in .* is unfinished/ })
  t.equal((await place.emulator.ledger.totals()).accepted, 0)
})

t.test('R05: an output that cannot be created leaves no job', needs('/proc'), async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', 'Say {{text}}', '-o', '/proc/no-file'], { stdin: csv(3) })
  t.equal(ran.code, 9, ran.err)
  t.same(jobsOf(place), [])
  t.notMatch(ran.err, /to continue|to retry/)
  t.equal((await place.emulator.ledger.totals()).accepted, 0)
})

t.test('R05: a key that was never accepted leaves no job', async t => {
  const place = await placeFor(t, { keys: { 'sk-other': 'wrkspc_1' } })
  const ran = await place.run(ASK, { stdin: csv(3) })
  t.equal(ran.code, 5)
  t.same(jobsOf(place), [])
  t.notMatch(ran.err, 'to continue')
})

t.test('R05: a job that an earlier command started survives a failed start', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run([...ASK, '--detach'], { stdin: csv(3) })
  const ran = await place.run([...ASK, '-o', '/nonexist/x'], { stdin: csv(3) })
  t.equal(ran.code, 6)
  t.same(jobsOf(place), ['a'])
})

t.test('R05: a job without records does not count as unfinished', async t => {
  const place = await placeFor(t)
  await place.run(['-p', 'Say {{text}}', '--job', 'b', '--detach'], { stdin: csv(2) })
  await (await openJob({ name: 'a', dir: place.state })).close()
  cpSync(join(place.state, 'jobs/b/job.json'), join(place.state, 'jobs/a/job.json'))
  const state = ['--state-dir', place.state]
  t.match((await run(['list', ...state])).out, /^a +empty .* 0 of 0 /m)
  t.match((await place.run(['doctor'])).out, 'job a: empty')
  t.equal((await place.run(['resume'])).rows.length, 2, 'job b is the only unfinished one')
  const pruned = await run(['prune', '--keep', '0s', ...state])
  t.same([pruned.code, pruned.said.toSorted()], [0, ['deleted job a', 'deleted job b']])
})

t.test('rm deletes a finished job at once', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(2) })
  t.match(await place.run(['rm', 'b']), { code: 2, err: /there is no job b/ })
  t.match(await place.run(['rm']), { code: 2, err: /rm takes one name, got none/ })
  t.match(await place.run(['rm', 'a']), { code: 0, err: 'deleted job a\n' })
  t.same(jobsOf(place), [])
})

t.test('rm asks before paid answers are lost, and names what stays at the API', async t => {
  const place = await placeFor(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 20 : 3_600_000),
  })
  const { world, ended } = place.start([...ASK, '--batch-size', '2'], { stdin: csv(3) })
  const rows = (): string => (world.stdout as unknown as { text: string }).text
  const submitted = (): number =>
    place.read('state/jobs/a/journal.jsonl').split('"submitted"').length - 1
  await until(() => rows() !== '' && submitted() === 2)
  t.match(await place.run(['rm', 'a', '-y']), {
    code: 7,
    err: /this process already has the job in /,
  })
  world.emit('SIGINT', 'SIGINT')
  await ended
  t.match(await place.run(['rm', 'a']), {
    code: 2,
    err: /job a has 1 batch in flight and has paid answers that were not printed; `claude-batch-stream resume a` prints its rows first. Delete it all the same\? Answer yes with -y/,
  })
  const stdin = new PassThrough()
  stdin.end('n\n')
  const refused = await place.run(['rm', 'a'], { stdin, tty: true })
  t.match(refused, { code: 4, err: /nothing was deleted/ })
  t.same(jobsOf(place), ['a'])
  t.match(await place.run(['rm', 'a', '-y', '-q']), {
    code: 0,
    err: /^still at the API: msgbatch_\w+; `claude-batch-stream results BATCH_ID` prints one/,
  })
  t.same(jobsOf(place), [])
})

t.test('rm counts the batches in flight', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run([...ASK, '--detach', '--batch-size', '1'], { stdin: csv(2) })
  const ran = await place.run(['rm', 'a'])
  t.match(ran, { code: 2, err: /job a has 2 batches in flight; `claude-batch-stream resume a`/ })
})

t.test('rm asks before it deletes a job whose result sets lacked answers', async t => {
  const place = await placeFor(t, { faults: [{ on: 'results', lines: { drop: 1 } }] })
  t.equal((await place.run(ASK, { stdin: csv(2) })).code, 3)
  t.match(await place.run(['rm', 'a']), {
    code: 2,
    err: /job a lacks answers that `retry` may still find at the API; /,
  })
  t.same(jobsOf(place), ['a'])
})

t.test('rm asks before it deletes a job that cannot be read', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(2) })
  writeFileSync(join(place.state, 'jobs/a/journal.jsonl'), '')
  t.match(await place.run(['rm', 'a']), {
    code: 2,
    err: /cannot be read .* may hold paid answers; `.* doctor a`/,
  })
  t.equal((await place.run(['rm', 'a', '-y'])).code, 0)
  t.same(jobsOf(place), [])
})

t.test('rm does not delete what is no job', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(1) })
  const folder = join(place.state, 'jobs/photos')
  mkdirSync(folder)
  writeFileSync(join(folder, 'me.jpg'), 'x')
  t.match(await place.run(['rm', 'photos', '-y']), {
    code: 2,
    err: /has none of the files of a job/,
  })
  t.same(readdirSync(folder), ['me.jpg'])
  // A crash while it was created.
  mkdirSync(join(place.state, 'jobs/b'))
  writeFileSync(join(place.state, 'jobs/b/journal.jsonl.next'), 'torn')
  t.equal((await place.run(['rm', 'b', '-y'])).code, 0)
  t.same(jobsOf(place), ['a', 'photos'])
})

t.test('a finished job is not pruned while a retry of it is in flight', async t => {
  let slow = false
  const place = await placeFor(t, {
    faults: [
      {
        on: 'create',
        errored: [{ index: [0, 1], times: 1, error: { type: 'invalid_request_error' } }],
      },
    ],
    batchTimeMs: () => (slow ? 3_600_000 : 20),
    cancelTimeMs: 20,
  })
  await place.run(ASK, { stdin: csv(2) })
  slow = true
  const { world, ended } = place.start(['retry', 'a'])
  const journal = (): string => place.read('state/jobs/a/journal.jsonl')
  await until(() => journal().split('"submitted"').length === 3)
  world.emit('SIGINT', 'SIGINT')
  await ended
  const prune = ['prune', '--keep', '0s', '--state-dir', place.state]
  t.match(await run(prune), { code: 0, err: '' })
  await place.run(['cancel', 'a', '-y'])
  t.equal((await place.run(['retry', 'a'])).rows.length, 2)
  t.match(await run(prune), { code: 0, err: 'deleted job a\n' })
})
