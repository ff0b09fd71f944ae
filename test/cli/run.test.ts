import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import t from 'tap'
import { FIRST } from '../../lib/run/guard.ts'
import { gzipSync } from 'node:zlib'
import { echo } from '../../lib/emulator/index.ts'
import {
  csv,
  everythingIn,
  KEY,
  nextWords,
  placeFor,
  run,
  rowsOf,
  tap,
  until,
  World,
  runIn,
} from './world.ts'
import { needs } from '../support/needs.ts'

t.test('a flag beats its environment variable, which beats the default', async t => {
  const words = ['--show', '1', '-p', 'Say {{text}}']
  const model = async (more: string[], env: Record<string, string>): Promise<unknown> => {
    const { out } = await run([...words, ...more], { stdin: csv(1), env })
    return JSON.parse(out).params.model
  }
  t.equal(await model([], {}), 'claude-haiku-5-5')
  t.equal(await model([], { ANTHROPIC_MODEL: 'claude-sonnet-5' }), 'claude-sonnet-5')
  const env = { ANTHROPIC_MODEL: 'claude-sonnet-5', CLAUDE_BATCH_STREAM_MODEL: 'claude-opus-5' }
  t.equal(await model([], env), 'claude-opus-5')
  t.equal(await model(['-m', 'claude-opus-5-5'], env), 'claude-opus-5-5')
  t.equal(await model([], { CLAUDE_BATCH_STREAM_MODEL: '' }), 'claude-haiku-5-5', 'empty is unset')
})

t.test('a switch can be set and unset by the environment', async t => {
  const env = (NO_HEADER: string) => ({ CLAUDE_BATCH_STREAM_NO_HEADER: NO_HEADER })
  const words = ['-n', '--from', 'csv', '-p', 'x {{column1?}}']
  for (const [value, records] of [
    ['1', 3],
    ['true', 3],
    ['0', 2],
    ['false', 2],
    ['no', 2],
  ] as const) {
    const { err } = await run(words, { stdin: 'a\nb\nc\n', env: env(value) })
    t.match(err, `${records} records`, value)
  }
})

t.test('P05 a terminal without input gets the help', async t => {
  const ran = await run(['-p', 'hi'], { tty: true })
  t.equal(ran.code, 2)
  t.equal(ran.out, '')
  t.match(ran.err, 'Flags of run')
  const file = await run(['-n', '-p', 'Say {{text}}', '-i', '-'], { tty: true, stdin: csv(2) })
  t.match(file.err, '2 records', 'a terminal that is named is read')
})

t.test('the version is printed', async t => {
  const version = JSON.parse(readFileSync('package.json', 'utf8')).version
  t.same(await run(['--version']).then(({ code, out }) => ({ code, out })), {
    code: 0,
    out: `${version}\n`,
  })
  t.equal((await run(['-V'])).out, `${version}\n`)
})

t.test('C24 without HOME the state folder must be given', async t => {
  const ran = await run(['-p', 'hi'], { stdin: csv(1), env: { ANTHROPIC_API_KEY: KEY } })
  t.equal(ran.code, 2)
  t.match(ran.err, 'HOME is not set, so there is no folder for jobs: name one with --state-dir DIR')
})

t.test(
  'jobs are stored below XDG_STATE_HOME or HOME, and only their owner can read them',
  async t => {
    const place = await placeFor(t)
    const home = t.testdir({})
    const words = ['-p', 'Say {{text}}', '--base-url', place.emulator.url, '--poll', '10ms']
    await run(words, { stdin: csv(1), env: { ...place.env, HOME: home } })
    t.equal(readdirSync(join(home, '.local/state/claude-batch-stream/jobs')).length, 1)
    const env = { ...place.env, HOME: home, XDG_STATE_HOME: join(home, 'xdg') }
    await run(words, { stdin: csv(1), env })
    t.equal(readdirSync(join(home, 'xdg/claude-batch-stream/jobs')).length, 1)
    const relative = { ...env, XDG_STATE_HOME: 'xdg' }
    const listed = await run(['list'], { env: relative })
    t.match(listed.out, /^[^\n]+finished[^\n]+\n$/, 'a relative place is none')
    t.match(await run(['list', '--state-dir', ''], { env }), { code: 2, err: /must be a folder/ })
  },
)

t.test('over several batches each record gets its own answer and is paid for once', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}', '--batch-size', '4', '-c', '2', '-v']
  const ran = await place.run(words, { stdin: csv(11) })
  t.equal(ran.code, 0)
  t.same(
    ran.rows.map(row => [row['id'], row.response]).sort((a, b) => Number(a[0]) - Number(b[0])),
    Array.from({ length: 11 }, (_, i) => [`${i}`, echo(`Say text ${i}`)]),
  )
  t.match(await place.emulator.ledger.totals(), { batches: 3, accepted: 11, acceptedTwice: 0 })
  t.match(ran.err, 'its first line has commas', '-v tells what was guessed')
})

t.test('-q shows only errors and the command that continues after one', async t => {
  const place = await placeFor(t)
  const fine = await place.run(['-q', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.same([fine.code, fine.err], [0, ''])
  const failed = await place.run(['-q', '-p', 'Say {{text}}', '-t', '1'], { stdin: csv(1) })
  t.equal(failed.code, 3)
  t.equal(failed.said.length, 1)
  t.match(failed.said[0], /^to retry the failed rows: claude-batch-stream retry /)
})

t.test('-q says nothing about a job that is to be continued later, as asked', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  const words = ['-q', '-p', 'Say {{text}}', '--job', 'j', '--detach']
  t.match(await place.run(words, { stdin: csv(2) }), { code: 0, out: 'j\n', err: '' })
  const waiting = await place.run(['resume', 'j', '-q', '--max-wait', '0s'])
  t.match(waiting, { code: 11, out: '', err: '' })
})

t.test('the batch size decides the number of batches', async t => {
  const place = await placeFor(t)
  for (const [records, batches] of [
    [1, 1],
    [3, 1],
    [4, 2],
  ] as const) {
    const before = place.emulator.ledger.batches().length
    await place.run(['-p', `${records} {{text}}`, '--batch-size', '3'], { stdin: csv(records) })
    t.equal(place.emulator.ledger.batches().length - before, batches)
  }
  await place.run(['-p', 'x {{text}}', '--batch-bytes', '400'], { stdin: csv(4) })
  t.equal(place.emulator.ledger.batches().length, 6, 'two of two, as bytes allow no more')
})

t.test('an endless pipe is closed once enough records are read', async t => {
  const place = await placeFor(t)
  let given = 0
  const endless = new Readable({
    read() {
      this.push(`{"n":${given++}}\n`)
    },
  })
  const ran = await place.run(['-p', 'Say {{n}}', '--skip', '2', '--limit', '3'], {
    stdin: endless,
  })
  t.same(
    ran.rows.map(row => row['n']),
    [2, 3, 4],
  )
  t.equal(endless.destroyed, true)
})

t.test('an invalid command closes the pipe of a waiting producer', async t => {
  const stdin = tap()
  stdin.write('a\nx\n'.repeat(30))
  const ran = await run(['-p', '{{b}}'], { stdin })
  t.equal(ran.code, 6)
  await until(() => stdin.destroyed)
})

t.test('with --batch-wait a quiet pipe gets its answers before it ends', async t => {
  const place = await placeFor(t)
  const stdin = tap()
  const { world, ended } = place.start(['-p', 'Say {{n}}', '--batch-wait', '20ms'], { stdin })
  const rows = () => (world.stdout as { text?: string }).text?.split('\n').length ?? 0
  stdin.write('{"n":1}\n{"n":2}\n')
  await until(() => rows() === 3)
  stdin.end('{"n":3}\n')
  const ran = await ended
  t.same(
    ran.rows.map(row => row['n']),
    [1, 2, 3],
  )
  t.equal(place.emulator.ledger.batches().length, 2)
})

t.test('with --batch-age a steady trickle gets its answers before it ends', async t => {
  const place = await placeFor(t)
  const stdin = tap()
  const { world, ended } = place.start(['-p', 'Say {{n}}', '--batch-age', '50ms'], { stdin })
  const text = () => (world.stdout as { text?: string }).text ?? ''
  let written = 0
  // Always less than --batch-age apart, and fewer than what a finite input is checked for at its start.
  const timer = setInterval(() => {
    if (written < FIRST - 1) stdin.write(`{"n":${written++}}\n`)
  }, 20)
  t.teardown(() => clearInterval(timer))
  await until(() => text().includes('\n'))
  clearInterval(timer)
  stdin.end()
  const ran = await ended
  t.equal(ran.code, 0)
  t.same(
    ran.rows.map(row => row['n']),
    Array.from({ length: written }, (_, n) => n),
  )
})

t.test('the two files of --errors add up to the input, also as tables', async t => {
  const faults = [
    { on: 'create' as const, errored: [{ index: 1, error: { type: 'invalid_request_error' } }] },
  ]
  const place = await placeFor(t, { faults })
  const [out, errors] = [place.path('out.csv'), place.path('failed.jsonl')]
  const words = ['-p', 'Say {{text}}', '--to', 'csv', '-o', out, '--errors', errors]
  const ran = await place.run(words, { stdin: `${csv(3)}bad\n` })
  t.equal(ran.code, 3)
  t.match(place.read('out.csv'), /^id,text,response,status,error\n0,.*\n2,.*\n$/)
  t.same(
    rowsOf(place.read('failed.jsonl')).map(row => row._batch?.status),
    ['errored', 'rejected'],
  )
})

t.test('rows of unreadable records name their line', async t => {
  const place = await placeFor(t, {}, { 'a.jsonl': '{"n":1}\n\n{"n":', 'b.jsonl': '{"n":2}\n' })
  const files = [place.path('a.jsonl'), place.path('b.jsonl')]
  const ran = await place.run(['-p', 'Say {{n}}', '-i', ...files])
  t.match(ran.rows, [
    { n: 1, _batch: { line: 1, source: files[0] } },
    { input: '{"n":', response: null, _batch: { status: 'rejected', line: 3, source: files[0] } },
    { n: 2, _batch: { line: 1, source: files[1] } },
  ])
})

t.test('a job without valid records makes no API call', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', '{{nope}}'], { stdin: '{"a":1}\n{"a":2}\n' })
  t.equal(ran.code, 3)
  t.same(
    ran.rows.map(row => row._batch?.status),
    ['rejected', 'rejected'],
  )
  t.same(place.emulator.ledger.calls(), [])
  t.notMatch(ran.err, /to retry|to continue/, 'which would help nothing')
  t.match(ran.err, /^  2 rejected: .*\(first: line 1\)$/m)
  const [, job = ''] = /^job (\S+):/.exec(ran.err) ?? []
  const again = await place.run(['retry', job])
  t.same([again.code, again.out], [3, ''])
  t.match(again.err, 'there is nothing to retry; 2 rejected rows cannot be retried')
})

t.test(
  'too many bad records stop a run before anything is sent, and leave no job (I23)',
  async t => {
    const place = await placeFor(t)
    const rows = Array.from({ length: 60 }, (_, i) => (i < 21 ? { n: i } : { m: i }))
    const input = rows.map(row => JSON.stringify(row)).join('\n')
    writeFileSync(place.path('in.jsonl'), input)
    const words = ['-i', place.path('in.jsonl'), '-p', 'Say {{n}}', '--max-invalid', '5']
    const ran = await place.run(words)
    t.equal(ran.code, 4)
    t.match(ran.err, '6 of 27 records are invalid, more than --max-invalid allows')
    t.match(await place.emulator.ledger.totals(), { accepted: 0 })
    t.notMatch(ran.err, 'to continue')
    t.match(await place.run(['resume']), { code: 2, err: /no job in .* is unfinished/ })
    const again = await place.run([...words.slice(0, -1), '100'])
    t.equal(again.code, 3)
    t.equal(again.rows.length, 60)
    t.match(await place.emulator.ledger.totals(), { accepted: 21, acceptedTwice: 0 })
  },
)

t.test('a maximum share of bad records applies once there are enough records', async t => {
  const rows = Array.from({ length: 1200 }, (_, i) => (i % 2 || i < 20 ? '{"n":1}' : '{}'))
  const words = ['-n', '-p', 'Say {{n}}', '--max-invalid']
  const many = await run([...words, '40%'], { stdin: rows.join('\n') })
  t.equal(many.code, 4)
  t.match(many.err, /^claude-batch-stream: 49\d of 100\d records/m)
  t.equal((await run([...words, '60%'], { stdin: rows.join('\n') })).code, 3)
})

t.test(
  'with few records the share is checked at the end of the input, before anything is sent',
  async t => {
    const place = await placeFor(t)
    const stdin = '{"n":1}\n{}\n{"n":2}\n{}\n'
    const ran = await place.run(['-p', 'Say {{n}}', '--max-invalid', '49%'], { stdin })
    t.match(ran, { code: 4, out: '', err: /2 of 4 records are invalid/ })
    t.match(await place.emulator.ledger.totals(), { accepted: 0 })
    const words = ['-p', 'Say {{n}}', '--max-invalid', '49%']
    const again = await place.run([...words.slice(0, -1), '50%'], { stdin })
    t.same([again.code, again.rows.length], [3, 4])
    t.equal((await run(['estimate', ...words], { stdin })).code, 4)
    t.equal((await run([...words, '--show', '1'], { stdin })).code, 0, 'the rest is not read')
  },
)

t.test('a first batch that fails as a whole ends the run, unless a flag allows it', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no such tool' } }),
  })
  const words = ['-p', 'Say {{text}}', '--batch-size', '2', '-c', '1', '--no-preflight']
  const ran = await place.run(words, { stdin: csv(40) })
  t.equal(ran.code, 4)
  t.match(
    ran.err,
    'all 2 requests of the first batch are errored (no such tool), so no more are sent',
  )
  t.ok(place.emulator.ledger.batches().length < 20)
  const again = await place.again(ran)
  t.equal(again.code, 3)
  t.equal(again.rows.length, 40)
  t.match(await place.emulator.ledger.totals(), { accepted: 40, acceptedTwice: 0 })
})

t.test('failures that differ or are temporary end nothing', async t => {
  for (const types of [['invalid_request_error', 'not_found_error'], ['overloaded_error']]) {
    let asked = 0
    const respond = () => ({ error: { type: types[asked++ % types.length] ?? '', message: 'no' } })
    const place = await placeFor(t, { respond })
    const words = ['-p', 'Say {{text}}', '--batch-size', '2', '-c', '1', '--retries', '0']
    const ran = await place.run(words, { stdin: csv(6) })
    t.same([ran.code, ran.rows.length], [3, 6], types.join())
  }
})

t.test('-o receives rows as they arrive, and never replaces a file', async t => {
  const place = await placeFor(t, {}, { 'there.jsonl': 'mine\n' })
  const ran = await place.run(['-p', 'Say {{text}}', '-o', place.path('there.jsonl')], {
    stdin: csv(2),
  })
  t.equal(ran.code, 6)
  t.match(ran.err, /there.jsonl already exists: choose another file, or delete it/)
  t.equal(place.read('there.jsonl'), 'mine\n')
  t.same(place.emulator.ledger.calls(), [])
  t.notMatch(ran.err, 'to continue', 'there is no job yet')
  const errors = await place.run(['-p', 'Say {{text}}', '--errors', place.path('there.jsonl')], {
    stdin: csv(2),
  })
  t.equal(errors.code, 6)
})

t.test('input without records does not match a job that has some', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}', '--job', 'j']
  const none = await place.run(words, { stdin: '' })
  t.match(none, { code: 0, err: /no input/ })
  t.equal((await place.run([...words, '--detach'], { stdin: csv(2) })).code, 0)
  const begun = await place.run(words, { stdin: '' })
  t.match(begun, { code: 6, out: '', err: /job j belongs to another command or input/ })
  t.equal((await place.run(['resume', 'j'])).rows.length, 2)
  const finished = await place.run(words, { stdin: '' })
  t.match(finished, {
    code: 6,
    out: '',
    err: /job j is finished and .* `claude-batch-stream results j`/,
  })
  t.equal((await place.run([...words, '--fresh'], { stdin: '' })).code, 0)
  t.match(await place.run(['-p', 'x', '--job', '../j'], { stdin: '' }), { code: 2, err: /--job/ })
})

t.test('an output that is a folder is refused before anything is sent', async t => {
  const place = await placeFor(t)
  const ask = ['-p', 'Say {{text}}', '--job', 'j']
  for (const flag of ['-o', '--errors']) {
    const ran = await place.run([...ask, flag, place.dir], { stdin: csv(2) })
    t.match(ran, { code: 6, err: `${place.dir} is a folder: choose a file` })
    t.notMatch(ran.err, 'to continue', 'there is no job yet')
    for (const name of ['', `${place.dir}/new/`]) {
      const none = await place.run([...ask, flag, name], { stdin: csv(2) })
      t.match(none, { code: 2, err: /must be a file, got/ })
    }
  }
  const empty = await place.run([...ask, '-o', place.dir], { stdin: '' })
  t.match(empty, { code: 6, err: `${place.dir} is a folder: choose a file` })
  const nowhere = await place.run([...ask, '-o', place.path('no/such')], { stdin: '' })
  t.match(nowhere, { code: 9, err: /no\/such cannot be written/ })
  t.same(place.emulator.ledger.calls(), [])
  t.equal((await place.run([...ask, '--detach'], { stdin: csv(2) })).code, 0)
  const resumed = await place.run(['resume', 'j', '-o', place.dir])
  t.match(resumed, { code: 6, err: `${place.dir} is a folder: choose a file` })
  const printed = await place.run(['results', 'j', '-o', place.dir])
  t.match(printed, { code: 6, err: `${place.dir} is a folder: choose a file` })
})

t.test('an output that is not a regular file is written like stdout', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', 'Say {{text}}', '-o', '/dev/null'], { stdin: csv(2) })
  t.same([ran.code, ran.out], [0, ''])
})

t.test('F04 rows that a full device rejects can be printed later', needs('/dev/full'), async t => {
  const place = await placeFor(t)
  const full = await place.run(['-p', 'Say  {{text}}', '-o', '/dev/full'], { stdin: csv(2) })
  t.equal(full.code, 9)
  t.match(full.err, /ENOSPC/)
  t.equal((await place.run([...nextWords(full).slice(0, 2), '-o', '-'])).rows.length, 2)
})

t.test('a reader that leaves is not an error, and the command that continues is shown', async t => {
  const place = await placeFor(t)
  const gone = (): Writable =>
    new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    })
  const ran = await place.run(['-p', 'Say {{text}}'], { stdin: csv(3), stdout: gone() })
  t.equal(ran.code, 141)
  t.equal(ran.said.length, 1)
  const again = await place.again(ran)
  t.equal(again.rows.length, 3)
  t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  const status = await run(['status', '--state-dir', place.state], { stdout: gone() })
  t.same([status.code, status.err], [141, ''])
})

t.test('P02 a reader that leaves long after the first rows is not an error either', async t => {
  const place = await placeFor(t)
  const got: Buffer[] = []
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      if (Buffer.concat(got).includes('\n'))
        return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      got.push(chunk)
      done()
    },
  })
  const words = ['-p', 'Say {{text}}', '--batch-size', '2', '-c', '1']
  const ran = await place.run(words, { stdin: csv(6), stdout })
  t.equal(ran.code, 141)
  t.match(ran.said, [/^to continue: claude-batch-stream resume /])
  t.equal((await place.again(ran)).rows.length, 6)
  t.match(await place.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

t.test('P03 a run waits for a slow reader without buffering', async t => {
  const place = await placeFor(t)
  const got: Buffer[] = []
  let writing = 0
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      t.equal(++writing, 1, 'one write at a time')
      t.equal(stdout.writableLength, chunk.length, 'and none behind it')
      setImmediate(() => {
        got.push(chunk)
        writing--
        done()
      })
    },
  })
  const ran = await place.run(['-p', 'Say {{text}}', '--batch-size', '3'], {
    stdin: csv(10),
    stdout,
  })
  t.equal(ran.code, 0)
  t.equal(rowsOf(Buffer.concat(got).toString()).length, 10)
})

t.test('--emulate needs no key and leaves nothing behind', async t => {
  const state = join(t.testdir({}), 'state')
  const words = ['--emulate', '--batch-time', '20ms', '--poll', '10ms', '--state-dir', state]
  const ran = await run([...words, '-p', 'Say {{text}}', '-t', '1'], { stdin: csv(2) })
  t.equal(ran.code, 3)
  t.equal(ran.rows.length, 2)
  t.notMatch(ran.err, 'to continue')
  t.throws(() => readdirSync(state), { code: 'ENOENT' })
})

t.test(
  'U03 a dry run opens no socket, needs no key, and finds the same faults as a run',
  async t => {
    const place = await placeFor(t)
    for (const words of [['-p', '{{nope}}'], [], ['-p', 'x', '-i', 'nowhere'], ['-p', '{{$x}}']]) {
      const dry = await place.run([...words, '-n'], { stdin: csv(2), env: {} })
      const real = await place.run(words, { stdin: csv(2) })
      t.same([dry.code, dry.err], [real.code, real.err], words.join(' '))
    }
    t.same(place.emulator.ledger.calls(), [])
    t.throws(() => readdirSync(place.state), { code: 'ENOENT' })
  },
)

t.test('the key appears in no file, output or log, even with full logging', async t => {
  const place = await placeFor(t, {}, { key: `${KEY}\n` })
  const secrets = ['portkey-0123456789', 'cf-S3cret!-value']
  const headers = `X-Portkey-Api-Key: ${secrets[0]}\nCf-Access-Client-Secret : ${secrets[1]} \r\nno header`
  const env = { ANTHROPIC_LOG: 'debug', ANTHROPIC_CUSTOM_HEADERS: headers }
  // The SDK reads the environment of the process.
  t.intercept(process, 'env', { value: { ...process.env, ...env } })
  const words = ['-vv', '-p', 'Say {{text}}', '--api-key-file', place.path('key')]
  const ran = await place.run(words, { stdin: csv(2), env })
  t.equal(ran.code, 0)
  t.equal(ran.rows.length, 2, 'stdout holds rows alone')
  t.match(ran.err, /request/i, 'and stderr the log')
  t.match(ran.err, /x-portkey-api-key/)
  for (const secret of [KEY, ...secrets])
    t.notMatch(ran.err + ran.out + everythingIn(place.state), secret)
})

t.test(
  'R10: a late field becomes a column, and the fields that rows always have do not',
  async t => {
    const place = await placeFor(t)
    const rows = Array.from({ length: 25 }, (_, n) =>
      n === 23 ? { n, late: 1 } : { n, response: null, _batch: {} },
    )
    const stdin = rows.map(row => JSON.stringify(row)).join('\n')
    const ran = await place.run(['-p', 'Say {{n}}', '--to', 'csv'], { stdin })
    t.equal(ran.code, 0)
    t.match(ran.out, /^n,late,response,status,error\n0,,echo/)
    t.match(ran.out, /\n23,1,echo/)
    t.match(await place.emulator.ledger.totals(), { accepted: 25 })
  },
)

t.test(
  'Ctrl-C under --emulate says that nothing can be resumed, and what would have been billed',
  async t => {
    const world = new World({ stdin: csv(3) })
    const words = ['--emulate', '--batch-time', '1h', '-p', 'Say {{text}}', '--batch-size', '2']
    const ended = runIn(world, [...words, '--progress', 'plain'])
    await until(() => /batch 2: 1 request submitted as/.test(world.stderr.text))
    world.emit('SIGINT', 'SIGINT')
    const ran = await ended
    t.equal(ran.code, 130)
    t.match(
      ran.err,
      /the emulator accepted 3 requests in 2 batches and billed 0, none of them twice\n/,
    )
    t.match(ran.said.at(-1), /there is nothing to resume/)
    t.notMatch(ran.err, /to continue/)
  },
)

t.test('--emulate says how long its batches take', async t => {
  const ran = await run(['--emulate', '-p', 'Say {{text}}'], { stdin: csv(1) })
  t.same([ran.code, ran.rows.length], [0, 1])
})

t.test('records without fields make a valid table', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', 'Say hi', '--to', 'csv'], { stdin: '{}\n{}\n' })
  t.equal(ran.code, 0, ran.err)
  t.match(ran.out, /^input,response,status,error\n.*,succeeded,\n.*,succeeded,\n$/)
})

t.test('after a truncated file the remaining files are not read', async t => {
  const packed = gzipSync(csv(40))
  const place = await placeFor(t, {}, { 'b.csv': csv(2) })
  const [broken, whole] = [place.path('a.csv.gz'), place.path('b.csv')]
  writeFileSync(broken, packed.subarray(0, packed.length - 12))
  const ran = await place.run(['-p', 'Say {{text}}', '-i', broken, whole])
  t.equal(ran.code, 6, ran.err)
  t.match(ran.err, /a.csv.gz break off/)
  t.same([...new Set(ran.rows.map(row => row._batch?.source))], [broken])
  writeFileSync(broken, packed.subarray(0, 12))
  const none = await place.run(['-p', 'Say {{text}}', '-i', broken])
  t.same([none.code, none.out], [6, ''], 'nothing of it could be read')
})

t.test('the file that cannot be read is named among several', async t => {
  const bad = '[{"text":"a"},{"te'
  const files = { 'a.json': '[{"text":"a"}]', 'b.json': bad, 'c.json': '[1]]' }
  const place = await placeFor(t, {}, { ...files, 'd.csv': 'text,"\n1,2\n' })
  const ask = async (name: string) =>
    await place.run(['-p', 'Say {{text}}', '-i', place.path('a.json'), place.path(name)])
  t.match((await ask('b.json')).err, `line 1 of ${place.path('b.json')}: the JSON breaks off`)
  t.match((await ask('c.json')).err, `line 1 of ${place.path('c.json')}: the JSON cannot be read`)
  t.match(
    (await ask('d.csv')).err,
    `the CSV header of ${place.path('d.csv')} cannot be read: line 1`,
  )
  writeFileSync(place.path('e.csv'), Buffer.from('te\xffxt\n1\n', 'latin1'))
  t.match((await ask('e.csv')).err, `the CSV header of ${place.path('e.csv')} cannot be read`)
})

t.test('an input that the system cannot read exits with 6 and is not a bug', async t => {
  const place = await placeFor(t)
  const stdin = new Readable({
    read() {
      const cause = Object.assign(new Error('read EIO'), { code: 'EIO', syscall: 'read' })
      this.destroy(cause)
    },
  })
  const ran = await place.run(['-p', 'Say {{text}}'], { stdin })
  t.match(ran, { code: 6, err: /the input cannot be read: read EIO/ })
})

t.test('an input that breaks off before its first record exits with 6', async t => {
  const place = await placeFor(t)
  const packed = gzipSync(csv(40))
  const stdin = packed.subarray(0, packed.length - 12)
  const ran = await place.run(['-p', 'Say {{text}}', '--skip', '100'], { stdin })
  t.match(ran, { code: 6, out: '', err: /the gzip bytes of the input break off/ })
  t.same(place.emulator.ledger.batches(), [])
})

t.test(
  'a pipe that a signal interrupts must be given again, and nothing is paid twice',
  async t => {
    const place = await placeFor(t)
    const stdin = tap()
    const words = ['-p', 'Say {{text}}', '--batch-size', '5', '--job', 'a']
    const { world, ended } = place.start(words, { stdin })
    stdin.write(csv(30))
    await until(() => place.emulator.ledger.batches().length > 1)
    world.emit('SIGINT', 'SIGINT')
    const stopped = await ended
    t.equal(stopped.code, 130)
    t.match(stopped.said.at(-1), /^to continue, with the same input again: claude-batch-stream -/)
    const resumed = await place.run(['resume', 'a'])
    t.match(resumed, { code: 6, err: /job a ended before its input was read completely/ })
    const ran = await place.again(resumed, { stdin: csv(30) })
    t.same([ran.code, ran.rows.length], [0, 30], ran.err)
    t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
  },
)

t.test('a pipe that broke off before anything was sent must be given again', async t => {
  const place = await placeFor(t)
  const stdin = tap()
  const { world, ended } = place.start(['-p', 'Say {{text}}', '--job', 'a'], { stdin })
  stdin.write(csv(30))
  // The first request is checked once the output is open.
  await until(() => place.emulator.ledger.calls().some(({ op }) => op === 'count_tokens'))
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  const resumed = await place.run(['resume', 'a'])
  t.match(resumed, { code: 6, err: /job a ended before its input was read completely/ })
  t.match(await place.again(resumed, { stdin: csv(30) }), { code: 0 })
})

t.test('a very high compression ratio is reported, and the input is read all the same', async t => {
  const stdin = gzipSync(Buffer.concat([Buffer.from('one\n'), Buffer.alloc(101_000_000, 'x')]))
  const ran = await run(['-n', '--from', 'text', '-p', 'Say {{input}}'], { stdin })
  t.match(ran, { code: 3, err: /^the input unpacks to more than 100 times its size$/m })
  t.match(ran.err, '2 records')
})

t.test(
  'R08: a text that was cut within an emoji is sent with U+FFFD, and its row keeps its bytes',
  async t => {
    const place = await placeFor(
      t,
      {},
      {
        'ask.mjs': 'export default fields => fields.text.slice(0, 5)',
        'params.json': '{"system":"cut \\ud83d","metadata":{"user_id":"\\ude00"}}',
      },
    )
    const half = '{"text":"cut \\ud83d"}'
    const whole = '{"text":"cut \\ud83d\\ude00","x":1}'
    const stdin = [half, whole, '{"text":"\\\\ud83d"}', ''].join('\n')
    const flags = ['--from', 'jsonl', '--params', place.path('params.json')]
    const ran = await place.run([...flags, '-p', '{{text}}'], { stdin })
    t.equal(ran.code, 0, ran.err)
    t.same(
      ran.rows.map(row => row.response),
      ['cut \ufffd', 'cut \u{1f600}', '\\ud83d'].map(echo),
    )
    t.match(ran.out, half.slice(0, -1))
    t.match(ran.out, whole.slice(0, -1))
    const cut = await place.run([...flags, '--template', place.path('ask.mjs')], { stdin })
    t.same(
      cut.rows.map(row => row.response),
      ['cut \ufffd', 'cut \ufffd', '\\ud83'].map(echo),
    )
    const requests = `{"custom_id":"a","params":{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"\\ud83d"}]}}\n`
    const asked = await place.run(['--from', 'requests'], { stdin: requests })
    t.match(asked, { code: 0, rows: [{ response: echo('\ufffd') }] })
    const shown = await place.run(['--show', '1', ...flags, '-p', '{{text}}'], { stdin })
    t.notMatch(shown.out, '\\ud83d', 'what is shown is what is sent')
  },
)
