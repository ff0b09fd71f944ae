import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { prune } from '../../lib/cli/commands/prune.ts'
import type { Context } from '../../lib/cli/context.ts'
import { systemClock } from '../../lib/core/clock.ts'
import { createEmulator } from '../../lib/emulator/index.ts'
import { openStoredJob } from '../../lib/store/open.ts'
import {
  Collected,
  FAST_CLOCK,
  csv,
  journaled,
  everythingIn,
  KEY,
  nextWords,
  placeFor,
  run,
  rowsOf,
  runIn,
  until,
  World,
  type Place,
} from './world.ts'
import { lyingApi } from '../support/lying-api.ts'

const jobsOf = (place: Place): string[] => readdirSync(join(place.state, 'jobs')).sort()
/** How many batches of job `a` have their id on disk. */
const submitted = (place: Place): number =>
  place.read('state/jobs/a/journal.jsonl').split('"submitted"').length - 1
const BAD = { error: { type: 'permission_error', message: 'no' } }

t.test('--fresh runs a finished command again as a new job', async t => {
  const place = await placeFor(t)
  const first = await place.run(['-p', 'Say {{text}}'], { stdin: csv(2) })
  const second = await place.run(['-p', 'Say {{text}}', '--fresh'], { stdin: csv(2) })
  t.same([first.code, second.code], [0, 0])
  t.equal(jobsOf(place).length, 2)
})

t.test('--detach prints the name of the job, and resume fetches the results', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['--detach', '-v', '-p', 'Say {{text}}', '--to', 'text'], {
    stdin: csv(3),
  })
  t.equal(ran.code, 0)
  t.same(
    [ran.out],
    jobsOf(place).map(name => `${name}\n`),
  )
  t.match(ran.err, /batch 1 is msgbatch_/)
  const again = await place.again(ran)
  t.equal(again.code, 0)
  t.match(
    again.out,
    /^echo .*: Say text 0\necho .*\necho .*: Say text 2\n$/,
    'in the shape of the run',
  )
  t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})

t.test('--detach exits when the queue is full, and resume sends the rest', async t => {
  let isFull = true
  const place = await placeFor(t, {
    faults: ({ op, batch = 0 }) =>
      op === 'create' && batch > 1 && isFull ? { status: 429 } : undefined,
  })
  const words = ['--detach', '-c', 'auto', '-p', 'Say {{text}}', '--batch-size', '3']
  const ran = await place.run(words, { stdin: csv(8) })
  t.equal(ran.code, 0)
  t.match(ran.err, 'the queue is full; `resume` sends the rest')
  isFull = false
  const again = await place.again(ran)
  t.same([again.code, again.rows.length], [0, 8])
  t.match(await place.emulator.ledger.totals(), { accepted: 8, acceptedTwice: 0 })
})

t.test('--detach exits when -c batches are in flight', async t => {
  const place = await placeFor(t, { batchTimeMs: 100 })
  const words = ['--detach', '-c', '2', '-p', 'Say {{text}}', '--batch-size', '1']
  const ran = await place.run(words, { stdin: csv(5) })
  t.same([ran.code, ran.out.trim()], [0, jobsOf(place)[0]])
  t.match(ran.err, 'the rest waits for batches in flight; `resume` sends the rest')
  t.match(await place.emulator.ledger.totals(), { accepted: 2 })
  t.equal((await place.run(['resume', '-c', '1', '--detach'])).code, 0)
  t.match(await place.emulator.ledger.totals(), { accepted: 2 }, 'they are still in flight')
  const again = await place.again(ran)
  t.same([again.code, again.rows.length], [0, 5])
  t.match(await place.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

t.test('resume can detach again, and finds the only unfinished job without its name', async t => {
  const place = await placeFor(t, { batchTimeMs: 100 })
  await place.run(['--detach', '-p', 'Say {{text}}'], { stdin: csv(3) })
  const detached = await place.run(['resume', '--detach'])
  t.same([detached.code, detached.out.trim()], [0, jobsOf(place)[0]])
  await place.run(['--detach', '-p', 'Tell {{text}}'], { stdin: csv(3) })
  const which = await place.run(['resume'])
  t.equal(which.code, 2)
  t.match(
    which.err,
    `several jobs are unfinished, name one: ${jobsOf(place).join(', ')}`.slice(0, 40),
  )
  for (const name of jobsOf(place)) t.equal((await place.run(['resume', name])).rows.length, 3)
  t.match(await place.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

t.test('resume and results print a finished job again, without a key', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '2'], {
    stdin: csv(5),
  })
  const calls = place.emulator.ledger.lastCalls().length
  for (const command of ['resume', 'results']) {
    const again = await place.run([command, 'a'], { env: {} })
    t.same([again.code, again.out], [0, ran.out], command)
  }
  t.equal(place.emulator.ledger.lastCalls().length, calls, 'nobody was asked')
  const text = await place.run(['results', 'a', '--to', 'text', '-o', place.path('a.txt')])
  t.equal(text.code, 0)
  t.match(place.read('a.txt'), /^echo /)
  const twice = await place.run(['results', 'a', '-o', place.path('a.txt')])
  t.same([twice.code, place.read('a.txt').slice(0, 5)], [6, 'echo '], 'and no file is written over')
})

t.test('results never writes to the output file of an unfinished job', async t => {
  const place = await placeFor(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 20 : 3_600_000),
  })
  const out = place.path('out.jsonl')
  const words = ['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '3', '-o', out]
  const { world, ended } = place.start(words, { stdin: csv(5) })
  // Not before the second batch is known by its id: one that may or may not exist cannot be canceled.
  await until(() => journaled(place, 'written', 'a') && submitted(place) === 2)
  const running = await run(['status', 'a', '--json', '--state-dir', place.state])
  t.match(JSON.parse(running.out), { state: 'running', rows: { succeeded: 3 } })
  const busy = await place.run(['results', 'a'])
  t.equal(busy.code, 7)
  t.match(busy.err, 'this process already has the job in ')
  t.notMatch(busy.err, 'to continue')
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  const some = await place.run(['results', 'a'])
  t.equal(nextWords(some).slice(0, 2).join(' '), 'resume a')
  t.same([some.code, some.rows.length], [3, 3])
  t.match(some.err, 'job a is not finished: these are its rows so far')
  t.match(await run(['status', '--state-dir', place.state]), {
    code: 0,
    out: /a  unfinished  5 records; rows: 3 succeeded\n.*\n  prompt: Say \{\{text\}\}\n  cost: \$0\.\d+ spent, \$0\.\d+ estimated in all\n.*batch 1  written.*\n.*batch 2  submitted  2 requests, \d+ s  msgbatch_/,
  })
  await place.run(['cancel', 'a', '-y'])
  const rest = await place.run(['resume', 'a', '--retries', '0'].slice(0, 2))
  t.equal(rest.code, 3)
  t.same(
    rowsOf(place.read('out.jsonl')).map(row => row._batch?.status),
    ['succeeded', 'succeeded', 'succeeded', 'canceled', 'canceled'],
  )
})

t.test('status --json reports what a job does without disturbing it', async t => {
  const place = await placeFor(t)
  const none = await run(['status', '--state-dir', place.state])
  t.same([none.code, none.err.slice(0, 42)], [2, 'claude-batch-stream: there are no jobs in '])
  const faults = { on: 'create' as const, errored: [{ index: 0, times: 1 }] }
  place.emulator.addFault(faults)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: `${csv(2)}bad\n` })
  const { out, code } = await run(['status', 'a', '--json', '--watch', '--state-dir', place.state])
  t.equal(code, 0)
  const shown = JSON.parse(out)
  t.match(shown, {
    job: 'a',
    state: 'finished',
    records: 3,
    rows: { succeeded: 2, rejected: 1 },
    batches: [
      { number: 1, id: /^msgbatch_/, state: 'fetched', requests: 2, age_s: Number },
      { number: 2, id: /^msgbatch_/, requests: 1 },
    ],
    tokens: { input: Number, output: Number },
    spent_usd: Number,
    reserved_usd: null,
    estimate_usd: Number,
  })
})

t.test('status --watch watches a job until it is stopped', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run(['--detach', '-p', 'Say {{text}}'], { stdin: csv(2) })
  const { world, ended } = place.start(['status', '--watch'])
  await until(
    () =>
      world.stdout.writableLength === 0 &&
      /batch 1/.test((world.stdout as { text?: string }).text ?? ''),
  )
  world.emit('SIGTERM', 'SIGTERM')
  t.equal((await ended).code, 143)
})

t.test('retry sends only failed rows, and prints only those', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'create', errored: [{ ...BAD, containing: 'text 1', times: 2 }] }],
  })
  const out = place.path('out.csv')
  const words = ['--job', 'a', '-p', 'Say {{text}}', '--to', 'csv', '-o', out]
  const ran = await place.run(words, { stdin: csv(3) })
  t.same([ran.code, nextWords(ran).slice(0, 2)], [3, ['retry', 'a']])
  const printed = await place.run(['results', 'a'])
  t.same([printed.code, nextWords(printed).slice(0, 2)], [3, ['retry', 'a']])
  const before = place.read('out.csv')
  const again = await place.again(ran)
  t.equal(again.code, 3, 'it fails once more')
  t.match(again.out, /^id,text,response,status,error\n1,text 1,,errored,.*\n$/)
  const last = await place.again(again)
  t.same([last.code, last.out.split('\n').length], [0, 3])
  t.equal(place.read('out.csv'), before, "the job's own output stays")
  const all = await place.run(['results', 'a', '--to', 'csv', '--order', 'input'])
  t.equal(all.code, 0)
  t.match(all.out, /\n0,.*succeeded,\n1,.*succeeded,\n2,.*succeeded,\n$/)
  t.match(await place.emulator.ledger.totals(), { accepted: 5, billedTwice: 0 })
  t.match(await place.run(['retry', 'a']), { code: 0, err: /there is nothing to retry\n/ })
})

t.test('an interrupted retry resumes and prints all retried rows', async t => {
  let slow = false
  const place = await placeFor(t, {
    faults: ({ op, batch }) =>
      op === 'create' && batch === 1 ? { errored: [{ ...BAD, index: [0, 1, 2] }] } : undefined,
    batchTimeMs: () => (slow ? 3_600_000 : 20),
  })
  const ran = await place.run(['--job', 'a', '-p', 'Say {{text}}', '--no-preflight'], {
    stdin: csv(4),
  })
  t.equal(ran.code, 3)
  slow = true
  const { world, ended } = place.start(['retry', 'a'])
  // Not before the reply is on disk: a batch that may or may not exist cannot be canceled.
  await until(() => submitted(place) === 2)
  world.emit('SIGINT', 'SIGINT')
  const stopped = await ended
  t.same([stopped.code, stopped.out], [130, ''])
  await place.run(['cancel', 'a', '-y'])
  const canceled = await place.again(stopped)
  const left = canceled.rows.filter(row => row._batch?.status === 'canceled').length
  t.same([canceled.code, canceled.rows.length, left > 0], [3, 3, true])
  slow = false
  const last = await place.again(canceled)
  t.same([last.code, last.rows.length], [0, left])
})

t.test(
  'the summary and status show the most frequent failures, and where the first one is',
  async t => {
    const place = await placeFor(t, {
      respond: ({ messages }) => {
        const said = JSON.stringify(messages)
        if (/text 1?[0-4]"/.test(said))
          return { error: { type: 'api_error', message: 'fell over' } }
        if (/text [56]"/.test(said))
          return { error: { type: 'permission_error', message: 'not you' } }
        return 'fine'
      },
    })
    const words = ['--job', 'a', '-p', 'Say {{text}}', '--retries', '0']
    const ran = await place.run(words, { stdin: `${csv(20)}1,2,3\n` })
    t.equal(ran.code, 3)
    t.match(ran.err, /^  10 errored: api_error: fell over \(first: line 2\)$/m)
    t.match(ran.err, /^  2 errored: permission_error: not you \(first: line 7\)$/m)
    t.match(ran.err, /^  1 rejected: wrong_column_count: .* \(first: line 22\)$/m)
    t.match(ran.said.at(-1), /^to retry the failed rows: claude-batch-stream retry a /)
    const state = ['--state-dir', place.state]
    const { out } = await run(['status', 'a', ...state])
    t.match(
      out,
      /\n  10 errored: api_error: fell over \(first: line 2\)\n  2 errored: .*\n  1 rejected/,
    )
    t.match(out, /\n  cost: \$0\.\d+ spent, \$0\.\d+ estimated in all\n  batch 1/)
    const json = JSON.parse((await run(['status', 'a', '--json', ...state])).out)
    t.match(json.failures[0], {
      ...{ count: 10, status: 'errored', type: 'api_error', message: 'fell over' },
      ...{ source: null, line: 2 },
    })
    t.match((await place.run(['results', 'a'])).err, /^  10 errored: api_error: fell over/m)
  },
)

t.test('no retry is suggested where none can help', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'x'.repeat(300) } }),
  })
  const ran = await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.equal(ran.code, 3)
  t.match(ran.err, /^  1 errored: invalid_request_error: x{200}… \(first: line 2\)$/m)
  t.notMatch(ran.err + (await place.run(['results', 'a'])).err, /to retry|to continue/)
  const file = place.path('in.csv')
  writeFileSync(file, csv(1))
  const named = await place.run(['--job', 'b', '-p', 'Say {{text}}', '-i', file])
  t.match(named.err, /\(first: .*in\.csv, line 2\)/)
})

t.test('retry of an unfinished job names the command to run first', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.match(await place.run(['retry', 'a']), {
    code: 2,
    err: /job a is not finished: run `claude-batch-stream resume a` first/,
  })
})

t.test('a batch that another tool created can be printed', async t => {
  const place = await placeFor(t)
  const id = await place.emulator.addForeign({ customIds: ['one', 'two'] })
  const raw = await place.run(['results', id, '--to', 'raw'])
  t.equal(raw.code, 0, raw.err)
  t.same(
    rowsOf(raw.out)
      .map(row => row['custom_id'])
      .sort(),
    ['one', 'two'],
  )
  const merged = await place.run(['results', id, '-c', '2'])
  t.match(
    merged.rows.find(row => row._batch?.custom_id === 'one'),
    { response: String, _batch: { status: 'succeeded', batch_id: id } },
  )
  const table = await place.run(['results', id, '--to', 'csv'])
  t.match(table.out, /^custom_id,response,status,error\n/)
  const url = await lyingApi(t, place.emulator.url, {
    change: (_, body) => body.replaceAll(/"(processing|succeeded)":\d+/g, '"$1":0'),
  })
  t.match(await place.run(['results', id, '--base-url', url]), {
    code: 8,
    err: /the API has not counted the requests of batch msgbatch_\w+ yet: run the same command/,
  })
  const huge = await lyingApi(t, place.emulator.url, {
    change: (_, body) => body.replaceAll(/"succeeded":\d+/g, '"succeeded":99999999999'),
  })
  t.match(await place.run(['results', id, '--base-url', huge]), {
    code: 8,
    err: /says that batch msgbatch_\w+ has 99999999999 requests, and a batch may have 100000/,
  })
  const odd = await lyingApi(t, place.emulator.url, {
    change: (path, body) => (path.endsWith('/results') ? 'no result\n' : body),
  })
  const kept = await place.run(['results', id, '--base-url', odd], { clock: FAST_CLOCK })
  t.match(kept, {
    code: 8,
    err: /are invalid after 5 downloads: the line at byte 0 is not a result; none/,
  })
  const spoiled = await lyingApi(t, place.emulator.url, {
    change: (path, body) => (path.endsWith('/results') ? `no result\n${body}` : body),
  })
  const words = ['results', id, '--base-url', spoiled]
  t.match(await place.run(words, { clock: FAST_CLOCK }), {
    code: 8,
    err: `those of the batch, give the same command with --adopt: ${id}. Then the lines that`,
  })
  const taken = await place.run([...words, '--adopt', id], { clock: FAST_CLOCK })
  t.equal(taken.code, 0, taken.err)
  t.equal(taken.rows.length, merged.rows.length)
  const gone = await place.run(['results', 'msgbatch_nobody'])
  t.equal(gone.code, 6)
  t.match(gone.err, 'does not know batch msgbatch_nobody')
})

t.test('list shows jobs, or the batches of the workspace', async t => {
  const place = await placeFor(t)
  t.same(await run(['list', '--state-dir', place.state]).then(({ code, out }) => [code, out]), [
    0,
    '',
  ])
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(2) })
  await place.run(['--job', 'b', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const jobs = await run(['list', '--state-dir', place.state])
  t.match(jobs.out, /^a +finished +\S+ \S+ +2 of 2 .*\nb +unfinished +\S+ \S+ +0 of 1 .*\n$/)
  const json = await run(['list', '--json', '--state-dir', place.state])
  t.match(rowsOf(json.out), [
    { job: 'a', state: 'finished', records: 2, batches: 1, created_at: String },
    { job: 'b', state: 'unfinished' },
  ])
  const remote = await place.run(['list', '--remote'])
  t.match(
    remote.out,
    /^msgbatch_\w+  \w+ +2026-\S+  1 request\nmsgbatch_\w+  ended +\S+  2 requests\n$/,
  )
  t.equal(rowsOf((await place.run(['list', '--remote', '--json'])).out).length, 2)
  const denied = await placeFor(t, { keys: { 'sk-other': 'wrkspc_1' } })
  const refused = await denied.run(['list', '--remote'])
  t.equal(refused.code, 5)
  t.match(refused.err, 'cannot list batches: the API answered 401')
})

t.test('cancel asks first, and reports the outcome of each batch', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000, cancelTimeMs: 20 })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}', '--batch-size', '2'], {
    stdin: csv(3),
  })
  const unasked = await place.run(['cancel', 'a'])
  t.match(unasked, { code: 2, err: /cancel 2 batches of job a\? Answer yes with -y/ })
  const answer = async (text: string) => {
    const stdin = new PassThrough()
    stdin.end(text)
    return await place.run(['cancel', 'a'], { stdin, tty: true })
  }
  t.match(await answer('n\n'), { code: 4, err: /nothing was canceled/ })
  const yes = await answer('y\n')
  t.equal(yes.code, 0)
  t.match(
    yes.err,
    /msgbatch_\w+: canceling\nmsgbatch_\w+: canceling\nto continue: claude-batch-stream resume a/,
  )
  const rows = await place.again(yes, { clock: FAST_CLOCK })
  t.same(
    [rows.code, rows.rows.map(row => row._batch?.status)],
    [3, ['canceled', 'canceled', 'canceled']],
  )
  for (const words of [
    ['cancel', 'a', '-y'],
    ['cancel', 'a'],
  ])
    t.match(await place.run(words), { code: 0, err: 'job a: there is nothing to cancel\n' })
  t.match(await place.run(['cancel', 'msgbatch_nobody', '-y']), {
    code: 6,
    err: /the API does not know batch msgbatch_nobody in this key's workspace/,
  })
})

t.test(
  'cancel leaves out what has ended, and cancels the rest whatever one reply says',
  async t => {
    const refused: Record<number, number> = { 2: 400, 3: 404 }
    let isOdd = true
    const place = await placeFor(t, {
      batchTimeMs: ({ number }) => (number === 1 ? 1 : 3_600_000),
      cancelTimeMs: 3_600_000,
      faults: ({ op, batch = 0 }) => {
        const status = isOdd && op === 'cancel' ? refused[batch] : undefined
        return status === undefined ? undefined : { status }
      },
    })
    const words = ['--job', 'a', '--detach', '-p', 'Say {{text}}', '--batch-size', '1']
    await place.run(words, { stdin: csv(4) })
    await until(() => place.emulator.ledger.batches().some(({ state }) => state === 'ended'))
    const first = await place.run(['cancel', 'a', '-y'])
    t.equal(first.code, 8)
    t.equal([...first.err.matchAll(/^msgbatch_\w+: ended$/gm)].length, 1)
    t.equal([...first.err.matchAll(/^msgbatch_\w+: canceling$/gm)].length, 1)
    t.match(
      first.err,
      /cannot cancel msgbatch_\w+: .* 400.*; the API does not know msgbatch_\w+\. 2 batches were not canceled: run `cancel` again/,
    )
    isOdd = false
    t.match(await place.run(['cancel', 'a', '-y']), {
      code: 0,
      err: /^msgbatch_\w+: ended\n(msgbatch_\w+: canceling\n){3}to continue/,
    })
  },
)

t.test('a batch that cannot be reached does not keep the others running', async t => {
  let failed = 0
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    cancelTimeMs: 3_600_000,
    faults: ({ op, batch }) =>
      op === 'cancel' && batch === 1 && ++failed < 5 ? { status: 503 } : undefined,
  })
  const words = ['--job', 'a', '--detach', '-p', 'Say {{text}}', '--batch-size', '1']
  await place.run(words, { stdin: csv(3) })
  const [first, second, third] = place.emulator.ledger.batches().map(({ id }) => id)
  const { code, err } = await place.run(['cancel', 'a', '-y'])
  t.equal(code, 0)
  t.same(
    [...err.matchAll(/^(msgbatch_\w+): canceling$/gm)].map(([, id]) => id),
    [second, third, first],
  )
})

t.test('a batch that ends while it is canceled is no error', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    cancelTimeMs: 0,
    faults: [{ on: 'cancel', when: 'after', status: 400 }],
  })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.match(await place.run(['cancel', 'a', '-y']), { code: 0, err: /^msgbatch_\w+: ended\n/ })
})

t.test('a command that has to wait for the API says why', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 0,
    cancelTimeMs: 0,
    faults: ({ op, nth }) => (op !== 'create' && nth === 1 ? { status: 529 } : undefined),
  })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const id = String(place.emulator.ledger.batches()[0]?.id)
  for (const [command, line] of [
    [['doctor'], /^waiting for the API: .*529/],
    [['list', '--remote'], /^$/],
    [['cancel', 'a', '-y'], /^waiting for the API: .*529/],
    [['results', id], /^waiting for the API: .*529/],
  ] as const)
    t.match(await place.run(command), { code: 0, err: line })
})

t.test('cancel ends at once if the key is refused', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    faults: [{ on: 'cancel', status: 401 }],
  })
  const words = ['--job', 'a', '--detach', '-p', 'Say {{text}}', '--batch-size', '1']
  await place.run(words, { stdin: csv(2) })
  t.match(await place.run(['cancel', 'a', '-y']), { code: 5, err: /answered 401/ })
})

t.test('cancel believes no reply that says that the batch goes on', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const [batch] = place.emulator.ledger.batches()
  const url = `${place.emulator.url}/v1/messages/batches/${batch?.id}`
  const headers = { 'x-api-key': KEY, 'anthropic-version': '2023-06-01' }
  const reply = await (await fetch(url, { headers })).text()
  const fooled = await createEmulator({
    faults: [{ on: 'cancel', body: reply, contentType: 'application/json' }],
  })
  t.teardown(() => fooled.close())
  for (const [name, id] of [
    ['a', batch?.id],
    [`${batch?.id}`, batch?.id],
  ]) {
    const where = ['--state-dir', place.state, '--base-url', fooled.url]
    const ran = await run(['cancel', `${name}`, '-y', ...where], { env: place.env })
    t.match(ran, { code: 8, err: new RegExp(`${id} is still in progress`) })
  }
})

t.test('cancel says what it does not stop', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000, cancelTimeMs: 3_600_000 })
  const words = ['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '1', '-c', '1']
  const { world, ended } = place.start(words, { stdin: csv(3) })
  await until(() => journaled(place, 'submitted', 'a'))
  t.match(await place.run(['cancel', 'a', '-y']), {
    code: 0,
    err: /a process is working on job a and continues to submit: stop it, then run `cancel` again/,
  })
  world.emit('SIGINT', 'SIGINT')
  await ended
  t.match(await place.run(['cancel', 'a', '-y']), {
    code: 0,
    err: /job a has records that were not sent: `resume` sends them, `resume --abandon` ends/,
  })
})

t.test('a job reports batches that the API no longer has', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const other = await createEmulator({ port: 0 })
  t.teardown(() => other.close())
  const lost = await run(
    ['cancel', 'a', '-y', '--state-dir', place.state, '--base-url', other.url],
    {
      env: place.env,
    },
  )
  t.match(lost, {
    code: 8,
    err: /the API does not know msgbatch_\w+\. 1 batch was not canceled: run `cancel` again\nto continue/,
  })
})

t.test('a batch in another workspace than the key is not canceled, which is said', async t => {
  const named = { headers: { 'anthropic-workspace-id': 'wrkspc_other' } }
  let isGone = false
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    faults: ({ op, nth }) => {
      if (op === 'create' && nth === 2) return named
      return isGone && (op === 'retrieve' || op === 'cancel') ? { status: 404 } : undefined
    },
  })
  const detached = ['--job', 'a', '--detach', '-p', 'Say {{text}}', '--batch-size', '1']
  t.match(await place.run(detached, { stdin: csv(2) }), { code: 5 })
  isGone = true
  t.match(await place.run(['cancel', 'a', '-y']), {
    code: 8,
    err: /know msgbatch_\w+, which was sent to workspace wrkspc_other, while this key belongs to wrk/,
  })
})

t.test('a question ends when the terminal hangs up', async t => {
  const place = await placeFor(t)
  const { world, ended } = place.start(['cancel', 'msgbatch_1'], {
    stdin: new PassThrough(),
    tty: true,
  })
  await until(() => /\[y\/N\]/.test(world.stderr.text))
  world.emit('SIGHUP', 'SIGHUP')
  t.equal((await ended).code, 129)
})

t.test('a run says how long its job is kept', async t => {
  const place = await placeFor(t)
  const state = ['--state-dir', place.state]
  for (const [name, ...more] of [['short', '--keep', '0s'], ['long', '--keep', '90d'], ['plain']])
    await place.run(['-p', 'Say {{text}}', '--job', `${name}`, ...more], { stdin: csv(1) })
  const wrong = await place.run(['-p', 'x', '--keep', 'long'], { stdin: csv(1) })
  t.match(wrong, { code: 2, err: /--keep must be a time/ })
  const ran = await run(['prune', ...state])
  t.match(ran, { code: 0, err: 'deleted job short\n' })
  t.same(readdirSync(join(place.state, 'jobs')).sort(), ['long', 'plain'])
  await run(['prune', '--keep', '0s', ...state])
  t.same(readdirSync(join(place.state, 'jobs')), [])
})

t.test('prune asks on a terminal, and -n only lists', async t => {
  const place = await placeFor(t)
  for (const name of ['a', 'b'])
    await place.run(['--job', name, '-p', 'Say {{text}}'], { stdin: csv(1) })
  const words = ['prune', '--keep', '0s']
  t.match(await place.run([...words, '-n']), {
    code: 0,
    err: 'would delete job a\nwould delete job b\n',
  })
  t.match(await place.run(['prune', '-n']), { code: 0, err: 'there is no job to delete\n' })
  const answer = async (text: string, ...more: string[]) => {
    const stdin = new PassThrough()
    stdin.end(text)
    return await place.run([...words, ...more], { stdin, tty: true })
  }
  t.match(await answer('\n'), {
    code: 4,
    err: /delete 2 jobs \(a, b\)\? \[y\/N\].*nothing was deleted/,
  })
  t.match(await answer('', '--no-input'), { code: 2, err: /Answer yes with -y/ })
  t.same(jobsOf(place), ['a', 'b'])
  t.equal((await answer('y\n')).code, 0)
  t.same(jobsOf(place), [])
  t.match(await answer(''), { code: 0, err: '' }, 'it asks only if there is something to delete')
  for (let at = 0; at < 11; at += 1)
    await place.run(['--job', `j${at}`, '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.match((await answer('\n')).err, /delete 11 jobs \(j0, .* and 1 more\)/)
  await answer('', '-y')
  t.same(jobsOf(place), [])
  await place.run(['--job', 'last', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.match((await answer('\n')).err, 'delete 1 job (last)?')
})

t.test('prune deletes finished jobs of a given age', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  await place.run(['--job', 'b', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const state = ['--state-dir', place.state]
  await run(['prune', ...state])
  t.same(jobsOf(place), ['a', 'b'])
  const ran = await run(['prune', '--keep', '0s', ...state])
  t.same([ran.code, ran.err, jobsOf(place)], [0, 'deleted job a\n', ['b']])
})

t.test(
  'prune never deletes a job whose retry is in flight, and removes what an earlier prune left',
  async t => {
    const place = await placeFor(t)
    await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
    const job = await openStoredJob({ dir: place.state, name: 'a' })
    const part = { number: 9, attempt: 2, next: 0, records: 1, requests: 1, bytes: 1, hash: '' }
    await job.note({ type: 'sealed', ...part }, false)
    await job.note({ type: 'armed', number: 9, at: 0, serverAt: null }, true)
    mkdirSync(join(place.state, 'jobs/.deleted-b-1/batches'), { recursive: true })
    const words = ['prune', '--keep', '0s', '--state-dir', place.state]
    await job.close()
    t.match(await run(words), { code: 0, err: '' })
    t.same(readdirSync(join(place.state, 'jobs')), ['a'])
    const again = await openStoredJob({ dir: place.state, name: 'a' })
    await again.note({ type: 'disarmed', number: 9 }, true)
    await again.close()
    t.match(await run(words), { code: 0, err: 'deleted job a\n' })
    t.same(readdirSync(join(place.state, 'jobs')), [])
  },
)

t.test(
  'prune checks a job again under its lock, since it may have been retried meanwhile',
  async t => {
    const place = await placeFor(t)
    for (const name of ['a', 'b'])
      await place.run(['--job', name, '-p', 'Say {{text}}'], { stdin: csv(1) })
    const journal = place.path('state/jobs/b/journal.jsonl')
    const finished = readFileSync(journal)
    const job = await openStoredJob({ dir: place.state, name: 'b' })
    const part = { number: 9, attempt: 2, next: 0, records: 1, requests: 1, bytes: 1, hash: '' }
    await job.note({ type: 'sealed', ...part }, false)
    await job.note({ type: 'armed', number: 9, at: 0, serverAt: null }, true)
    await job.close()
    const retried = readFileSync(journal)
    writeFileSync(journal, finished)
    const said: string[] = []
    const info = (text: string): void => {
      said.push(text)
      // Both jobs have been looked at by now, and the second one has not been locked.
      writeFileSync(journal, retried)
    }
    const flagged: Readonly<Record<string, string>> = { keep: '0s', 'state-dir': place.state }
    const text = (name: string): string | undefined => flagged[name]
    const flags = { text, has: () => false }
    // Only what prune uses of a context.
    const context = {
      flags,
      io: { env: {}, stdin: {}, clock: systemClock },
      talk: { info, detail: info },
    } as unknown as Context
    t.same(await prune(context), { code: 0 })
    t.same([said, jobsOf(place)], [['deleted job a'], ['b']])
  },
)

t.test('prune skips a job that no longer exists, and names one that it cannot lock', async t => {
  const place = await placeFor(t)
  for (const name of ['a', 'b', 'c'])
    await place.run(['--job', name, '-p', 'Say {{text}}'], { stdin: csv(1) })
  const said: string[] = []
  const info = (text: string): void => {
    said.push(text)
    rmSync(place.path('state/jobs/b'), { recursive: true, force: true })
    rmSync(place.path('state/jobs/c/lock'), { force: true })
    symlinkSync('elsewhere', place.path('state/jobs/c/lock'))
  }
  const talk = { info, detail: (text: string) => said.push(text) }
  const flags = {
    text: (name: string): string | undefined => ({ keep: '0s', 'state-dir': place.state })[name],
    has: () => false,
  }
  // Only what prune uses of a context.
  const io = { env: {}, stdin: {}, clock: systemClock }
  const context = { flags, io, talk } as unknown as Context
  await t.rejects(prune(context), { code: 'CBS_DISK', message: /cannot lock .*jobs.c: ELOOP/ })
  t.match(said, ['deleted job a', /^job b stays: cannot lock/])
  t.same(jobsOf(place), ['c'])
})

t.test('doctor reports what works and what does not', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const well = await place.run(['doctor', 'a'])
  t.equal(well.code, 0)
  t.match(
    well.out,
    /^ok   the API at http:.* accepts the key \(workspace wrkspc_\w+\)\nok   the clock agrees with the API\nok   .* MB free\nok   job a: finished\n$/,
  )
  const journal = join(place.state, 'jobs/a/journal.jsonl')
  writeFileSync(journal, readFileSync(journal, 'utf8').replace('"spooled"', '"spooleD"'))
  const ill = await place.run(['doctor'], { env: {} })
  t.equal(ill.code, 5)
  t.match(ill.out, /^BAD  there is no API key: set ANTHROPIC_API_KEY.*\nok .*\nBAD  job a: .*\n$/)
  t.match((await place.run(['doctor', 'b'])).out, 'BAD  there is no job b')
  const file = await run(
    ['doctor', '--state-dir', '/dev/null/x', '--base-url', place.emulator.url],
    { env: place.env },
  )
  t.match(file.out, /BAD  .*\/dev\/null/)
})

t.test('doctor detects a wrong clock', async t => {
  const HOUR = 3_600_000
  const place = await placeFor(t, {
    faults: [{ on: '*', headers: { date: new Date(Date.now() - HOUR).toUTCString() } }],
  })
  t.match((await place.run(['doctor'])).out, /BAD  the clock differs from the API's by -3\d\d\d s/)
})

t.test('emulate serves its API until it is interrupted', async t => {
  const dir = t.testdir({
    'faults.json': '[{"on":"create","nth":1,"status":429}]',
    'bad.json': '[{"on":"nap"}]',
  })
  const { World, seen } = await import('./world.ts')
  const { main } = await import('../../lib/cli/main.ts')
  const world = new World()
  const words = [
    'emulate',
    '--port',
    '0',
    '--batch-time',
    '20ms',
    '--faults',
    join(dir, 'faults.json'),
  ]
  const ended = main(words, world)
  await until(() => /until Ctrl-C/.test(world.stderr.text))
  const url = (world.stdout as unknown as { text: string }).text.trim()
  const ran = await run(
    ['-p', 'Say {{text}}', '--base-url', url, '--state-dir', join(dir, 's'), '--poll', '10ms'],
    { stdin: csv(1), env: { ANTHROPIC_API_KEY: KEY } },
  )
  t.equal(ran.code, 0)
  t.match(ran.err, 'the API answered 429', 'with the faults that were asked for')
  const taken = await run(['emulate', '--port', new URL(url).port])
  t.match(taken, { code: 2, err: /cannot listen on `port`/ })
  world.emit('SIGINT', 'SIGINT')
  t.equal(seen(world, await ended).code, 130)
  t.match(await run(['emulate', '--faults', join(dir, 'bad.json')]), {
    code: 2,
    err: /faults\[0\].on/,
  })
  t.match(await run(['emulate', '--faults', join(dir, 'none')]), { code: 6, err: /cannot be read/ })
})

t.test('doctor reports a refused key with its exit code', async t => {
  const place = await placeFor(t, { keys: { 'sk-other': 'wrkspc_1' } })
  t.match(await place.run(['doctor']), { code: 5, out: /^BAD  .* the API answered 401/ })
})

t.test('no command accepts a path as the name of a job', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  for (const name of ['..', '.', '../jobs/a', 'a/', 'a/../a', '', '../../state'])
    for (const command of ['status', 'cancel', 'report', 'results', 'retry', 'resume', 'rm']) {
      const ran = await place.run([command, name, '-y'])
      t.match(ran, { code: 2, out: '', err: /there is no job/ }, `${command} ${name}`)
    }
  t.match((await place.run(['doctor', '..'])).out, 'BAD  there is no job ..')
  t.same(jobsOf(place), ['a'])
})

t.test('an unusable state directory is a disk error', async t => {
  const place = await placeFor(t, {}, { file: '' })
  const state = ['--state-dir', place.path('file/state')]
  for (const words of [['status', 'a'], ['status'], ['list'], ['rm', 'a', '-y'], ['prune']])
    t.match(await run([...words, ...state]), { code: 9, err: /ENOTDIR/ }, words.join(' '))
  for (const words of [
    ['resume', 'a'],
    ['results', 'a'],
    ['-p', 'Say {{text}}', '-i', '-'],
  ]) {
    const ran = await run([...words, ...state], { env: place.env, stdin: csv(1) })
    t.match(ran, { code: 9, err: /ENOTDIR/ }, words.join(' '))
  }
})

t.test('a job is looked up by its exact name, not by a path', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  cpSync(join(place.state, 'jobs/a'), join(place.state, 'elsewhere'), { recursive: true })
  const ran = await place.run(['results', '../elsewhere'])
  t.equal(ran.code, 2)
})

t.test(
  'a folder that others can read is made private before job files are written to it',
  async t => {
    const place = await placeFor(t)
    await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
    const folder = join(place.state, 'jobs/a')
    chmodSync(folder, 0o755)
    t.equal((await place.run(['resume', 'a'])).code, 0)
    t.equal(statSync(folder).mode & 0o777, 0o700)
    for (const name of readdirSync(folder)) {
      const { mode } = statSync(join(folder, name))
      t.equal(mode & 0o077, 0, name)
    }
    t.notMatch(everythingIn(place.state), KEY)
  },
)

t.test('list reads all pages of the workspace', async t => {
  const place = await placeFor(t)
  const batch = (id: string): object => ({
    id,
    processing_status: 'ended',
    request_counts: { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 },
    created_at: '2026-11-20T00:00:00Z',
  })
  for (const [nth, id, has_more] of [
    [1, 'msgbatch_1', true],
    [2, 'msgbatch_2', false],
  ] as const) {
    const body = JSON.stringify({ data: [batch(id)], has_more, first_id: id, last_id: id })
    place.emulator.addFault({ on: 'list', nth, body, contentType: 'application/json' })
  }
  const { out } = await place.run(['list', '--remote'])
  t.match(out, /^msgbatch_1 .*\nmsgbatch_2 .*\n$/)
})

t.test('resume uses the API of the job unless another one is named', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}', '--to', 'csv'], {
    stdin: csv(2),
  })
  const ran = await run(['resume', 'a', '--state-dir', place.state, '--poll', '10ms'], {
    env: place.env,
  })
  t.equal(ran.code, 0, ran.err)
  t.match(ran.out, /^id,text,response,status,error\n0,text 0,/, 'as the table that it was')
})

t.test('--detach reports a refused key and leaves no job', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 1, status: 401 }] })
  const ran = await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(2) })
  t.same([ran.code, ran.out], [5, ''])
  t.match(ran.err, /cannot submit batch 1: the API answered 401/)
  t.match(await place.run(['resume']), { code: 2, err: /no job in .* is unfinished/ })
})

t.test('a batch whose create has an unknown outcome is not canceled on a guess', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    cancelTimeMs: 20,
    faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
  })
  const { world, ended } = place.start(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(2) })
  const journal = join(place.state, 'jobs/a/journal.jsonl')
  await until(() => existsSync(journal) && readFileSync(journal, 'utf8').includes('"candidate"'))
  world.emit('SIGINT', 'SIGINT')
  const stopped = await ended
  const unsure = await place.run(['cancel', 'a', '-y'])
  t.match(unsure, {
    code: 8,
    err: /the API may have batch 1 of the job, whose create got no reply: `resume` finds out/,
  })
  const status = await run(['status', 'a', '--state-dir', place.state])
  t.match(
    status.out,
    /batch 1  armed      2 requests  , may be msgbatch_\w+: `resume` finds out when/,
  )
  const [batch] = place.emulator.ledger.batches()
  await place.run(['cancel', batch?.id ?? '', '-y'])
  const rest = await place.again(stopped)
  t.same([rest.code, rest.rows.length], [3, 2])
  t.match(await place.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
})

t.test('the other batches of a job are canceled all the same', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    cancelTimeMs: 20,
    faults: [{ on: 'create', nth: 2, when: 'after', reset: true }],
  })
  const words = ['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '2']
  const { world, ended } = place.start(words, { stdin: csv(4) })
  const journal = join(place.state, 'jobs/a/journal.jsonl')
  await until(() => existsSync(journal) && readFileSync(journal, 'utf8').includes('"candidate"'))
  world.emit('SIGINT', 'SIGINT')
  await ended
  const [first] = place.emulator.ledger.batches()
  t.match(await place.run(['cancel', 'a', '-y']), {
    code: 8,
    err: new RegExp(`^${first?.id}: \\w+\n[^]*the API may have batch 2 of the job`),
  })
})

t.test('status --watch follows a job to its end', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000, cancelTimeMs: 20 })
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(2) })
  const { world, ended } = place.start(['status', 'a', '--watch'], { clock: FAST_CLOCK })
  await until(() => /submitted/.test((world.stdout as { text?: string }).text ?? ''))
  await place.run(['cancel', 'a', '-y'])
  await place.run(['resume', 'a'])
  const ran = await ended
  t.equal(ran.code, 0)
  t.match(ran.out, /^a  unfinished[^]*\na  finished  2 records; rows: 2 canceled\n/)
})

t.test('status counts rows without an answer if a result set is incomplete or deleted', async t => {
  const place = await placeFor(t, {
    faults: [
      { on: 'create', nth: 1, archived: true },
      { on: 'results', batch: 2, lines: { drop: 1 } },
    ],
  })
  const words = ['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '3', '-c', '1']
  t.equal((await place.run(words, { stdin: csv(5), clock: FAST_CLOCK })).code, 3)
  const { out } = await run(['status', 'a', '--json', '--state-dir', place.state])
  t.match(JSON.parse(out).rows, { succeeded: 1, unanswered: 4 })
})

t.test('a job that cannot be read is shown as damaged, also in JSON', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'a', '-p', 'Say {{text}}'], { stdin: csv(1) })
  writeFileSync(join(place.state, 'jobs/a/journal.jsonl'), '')
  rmSync(join(place.state, 'jobs/a/job.json'))
  const state = ['--state-dir', place.state]
  t.match(
    (await run(['status', 'a', ...state])).out,
    /^a  damaged  0 records; rows: none\n {2}the job's journal has lost its end \(it had \d+ bytes on disk, and 0 of them are left\)/,
  )
  t.same(rowsOf((await run(['list', '--json', ...state])).out), [
    {
      ...{ job: 'a', state: 'damaged', created_at: null, records: null, batches: null },
      ...{ model: null, prompt: null, note: null, rows: {}, spent_usd: null },
    },
  ])
  t.equal((await run(['prune', '--keep', '0s', ...state])).code, 0)
  t.same(jobsOf(place), ['a'], 'it may hold paid work')
})

t.test(
  'a partly failed batch of another tool exits with 3, and --to raw names the missing rows',
  async t => {
    const place = await placeFor(t)
    const id = await place.emulator.addForeign({ customIds: ['one', 'two'], expire: [0] })
    t.equal((await place.run(['results', id])).code, 3)
    place.emulator.addFault({ on: 'results', lines: { drop: 1 } })
    const raw = await place.run(['results', id, '--to', 'raw'], { clock: FAST_CLOCK })
    t.same([raw.code, rowsOf(raw.out).length], [3, 1])
    t.match(
      raw.err,
      `a request of ${id} has no result line: the API ended the batch without a line`,
    )
  },
)

t.test('doctor works with an API that sends neither a date nor a workspace', async t => {
  const server = createServer((_request, response) => {
    response.sendDate = false
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ data: [], has_more: false, first_id: null, last_id: null }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  // It listens on a port.
  const { port } = server.address() as AddressInfo
  const place = await placeFor(t)
  await place.run(['--job', 'a', '--detach', '-p', 'Say {{text}}'], { stdin: csv(1) })
  const words = ['doctor', '--state-dir', place.state, '--base-url', `http://127.0.0.1:${port}`]
  const ran = await run(words, { env: place.env })
  t.equal(ran.code, 0)
  t.match(ran.out, /accepts the key \(workspace not named\)\nok   the clock agrees with the API\n/)
  t.match(ran.out, 'ok   job a: unfinished')
})

t.test('emulate exits at once if it is interrupted while it starts', async t => {
  const stdout = new Collected()
  const world = new World({ stdout })
  stdout.once('told', () => world.emit('SIGINT', 'SIGINT'))
  t.equal((await runIn(world, ['emulate'])).code, 130)
})

t.test('cancel refuses a batch that is not the one that the job sent', async t => {
  let other = ''
  let isLate = false
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    cancelTimeMs: 3_600_000,
    faults: ({ op, nth }) => (op === 'create' && nth % 2 === 0 ? { replyId: other } : undefined),
  })
  const statusOf = async (id: string): Promise<unknown> => {
    const url = `${place.emulator.url}/v1/messages/batches/${id}`
    const reply = await fetch(url, {
      headers: { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' },
    })
    return Object(await reply.json()).processing_status
  }
  for (const [name, foreign, why] of [
    ['a', { requests: 5 }, 'has 5 requests instead of 2'],
    ['b', { requests: 2, createdAgoMs: 3_000_000 }, 'was created before that batch was sent'],
  ] as const) {
    isLate = name === 'b'
    other = await place.emulator.addForeign({ ...foreign, batchTimeMs: 3_600_000 })
    const words = ['-p', '{{text}}', '--batch-size', '2', '--job', name, '--detach']
    t.equal((await place.run(words, { stdin: csv(4) })).code, 0)
    const ran = await place.run(['cancel', name, '-y'])
    t.equal(ran.code, 4, ran.err)
    t.match(
      ran.err,
      `${other}, the id of batch 2, ${why}: it is another batch. 1 batch was not canceled: \`resume\` finds the job's own`,
    )
    t.same(nextWords(ran).slice(0, 2), ['resume', name])
    t.equal(await statusOf(other), 'in_progress')
    const [own] = place.emulator.ledger.batches().slice(isLate ? 2 : 0)
    t.equal(await statusOf(`${own?.id}`), 'canceling', 'the others are canceled')
    t.match(await place.run(['cancel', other, '-y']), { code: 0 })
    t.equal(await statusOf(other), 'canceling')
  }
})
