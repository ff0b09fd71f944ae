import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { lockFolder } from '../../lib/store/lock.ts'
import { openBelow } from '../support/descriptors.ts'
import { csv, nextWords, placeFor, rowsOf, until, type Place } from './world.ts'

const ASK = ['-p', 'Say {{text}}']
const jobsOf = (place: Place): string[] => readdirSync(join(place.state, 'jobs')).sort()
const accepted = async (place: Place): Promise<number> =>
  (await place.emulator.ledger.totals()).accepted
/** One byte at a time. */
const slowly = (text: string): Readable =>
  Readable.from([...Buffer.from(text)].map(byte => Buffer.of(byte)))

t.test('the same finished command prints its rows again for free, and says so', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '--batch-size', '4']
  const first = await place.run(words, { stdin: csv(30) })
  const calls = place.emulator.ledger.lastCalls().length
  for (const stdin of [csv(30), slowly(csv(30))]) {
    const again = await place.run(words, { stdin })
    t.same([again.code, again.out], [0, first.out])
    t.match(
      again.said[0],
      /^job \S+ already has the answers to this command and input; printing its rows/,
    )
  }
  const text = await place.run([...words, '--to', 'text', '--order', 'input'], { stdin: csv(30) })
  t.match(text.out, /^echo .*: Say text 0\necho .*: Say text 1\n/, 'in another shape')
  const detached = await place.run([...words, '--detach'], { stdin: csv(30) })
  t.same([detached.code, detached.out.trim()], [0, jobsOf(place)[0]])
  t.equal(place.emulator.ledger.lastCalls().length, calls, 'the API is not called')
  t.equal(jobsOf(place).length, 1)
  const fresh = await place.run([...words, '--fresh'], { stdin: csv(30) })
  t.same([fresh.code, fresh.rows.length], [0, 30])
  t.equal(await accepted(place), 60, '--fresh asks anew')
})

t.test('input that differs anywhere starts a new job for all of its rows', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(30) })
  await place.run(ASK, { stdin: csv(20) })
  let expected = 50
  for (const stdin of [
    csv(31),
    csv(29),
    csv(1),
    csv(30).replace('text 17', 'text seventeen'),
    csv(30).replace('text 29', 'text twenty-nine'),
    csv(30).replace('17,', '\n17,'),
    `${csv(30)}1,2,3\n`,
  ]) {
    const ran = await place.run(ASK, { stdin: slowly(stdin) })
    const rows = stdin.trim().split(/\n+/).length - 1
    t.same([ran.code === 2, ran.rows.length], [false, rows])
    t.notMatch(ran.err, 'has the answers')
    const asked = ran.rows.filter(row => row._batch?.status === 'succeeded').length
    t.equal(await accepted(place), (expected += asked))
    for (const row of ran.rows.filter(one => one._batch?.status === 'succeeded'))
      t.match(row.response, `Say ${String(row['text'])}`)
  }
  t.match(await place.run(ASK, { stdin: csv(20) }), { code: 0, err: /has the answers/ })
  t.equal(await accepted(place), expected)
})

t.test('an input is compared with all finished jobs of its command', async t => {
  const place = await placeFor(t)
  // All begin alike, some are longer than others, and most differ only at the end.
  const inputs = [csv(9).replace('text 1', 'other')]
  for (let nth = 0; nth < 36; nth++) inputs.push(`${csv(1 + (nth % 7))}last,${nth}\n`)
  for (const stdin of inputs) t.equal((await place.run(ASK, { stdin })).code, 0)
  const asked = await accepted(place)
  for (const stdin of [...inputs, inputs[0]]) {
    const again = await place.run(ASK, { stdin })
    t.equal(again.rows.length, String(stdin).trim().split('\n').length - 1)
    t.match(again.err, /already has the answers to this command and input/)
  }
  t.equal(await accepted(place), asked, 'nothing is paid twice')
  const other = await place.run(ASK, { stdin: `${inputs[1]}one more,1\n` })
  t.equal(other.rows.length, 3)
  t.equal(await accepted(place), asked + 3)
  t.same(openBelow(place.state), [])
})

t.test('other settings are another command', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(3) })
  await place.run([...ASK, '-t', '99'], { stdin: csv(3) })
  await place.run([...ASK, '--batch-wait', '1h'], { stdin: csv(3) })
  await place.run([...ASK, '--batch-wait', '1h'], { stdin: csv(3) })
  t.equal(await accepted(place), 12, 'and an input that may never end is not held back')
})

t.test('an output file is kept, or written again if it is missing', async t => {
  const place = await placeFor(t, {}, { 'in.csv': csv(6) })
  const out = place.path('out.jsonl')
  const words = [...ASK, '-i', place.path('in.csv'), '-o', out]
  await place.run(words)
  const rows = place.read('out.jsonl')
  t.equal((await place.run(words)).code, 0)
  t.equal(place.read('out.jsonl'), rows)
  const table = await place.run([...words, '--to', 'csv'])
  t.match(table, { code: 2, err: /holds rows already, and not of this shape/ })
  rmSync(out)
  t.equal((await place.run(words)).code, 0)
  t.equal(place.read('out.jsonl'), rows)
  rmSync(out)
  t.equal((await place.run([...words, '--to', 'csv'])).code, 0)
  t.match(place.read('out.jsonl'), /^id,text,response,status,error\n0,/)
  appendFileSync(place.path('in.csv'), '6,text 6\n')
  const more = await place.run([...words, '--to', 'csv'])
  t.match(more, { code: 6, err: /already exists/ }, 'a new job, as it always was')
  t.equal(await accepted(place), 6)
})

t.test('lines appended to a finished output are kept, and another file gets all rows', async t => {
  const place = await placeFor(t, {}, { 'in.csv': csv(6) })
  const words = [...ASK, '-i', place.path('in.csv'), '-o', place.path('out.jsonl')]
  await place.run(words)
  const rows = place.read('out.jsonl')
  appendFileSync(place.path('out.jsonl'), 'a note\n')
  const again = await place.run(words)
  t.match(again, { code: 6, err: /another program has written to .*out\.jsonl/ })
  t.equal(place.read('out.jsonl'), `${rows}a note\n`)
  t.equal(await accepted(place), 6)
})

t.test('the command that continues names another file if the output was changed', async t => {
  const refused = { on: 'create', nth: 2, status: 403 } as const
  const place = await placeFor(t, { faults: [refused] })
  const out = place.path('out.jsonl')
  const words = [...ASK, '--batch-size', '2', '-c', '1', '-o', out]
  const first = await place.run(words, { stdin: csv(6) })
  t.equal(first.code, 5)
  appendFileSync(out, 'a note\n')
  const left = place.read('out.jsonl')
  t.equal(rowsOf(left.replace('a note\n', '')).length, 2)
  writeFileSync(place.path('out-2.jsonl'), 'theirs')
  const changed = await place.again(first)
  t.match(changed, { code: 6, err: /another program has written/ })
  t.same(nextWords(changed).slice(-2), ['--output', place.path('out-3.jsonl')])
  const taken = await place.again(changed, {})
  t.equal(taken.code, 0)
  t.equal(rowsOf(place.read('out-3.jsonl')).length, 6)
  t.same([place.read('out.jsonl'), place.read('out-2.jsonl')], [left, 'theirs'])
  t.match(await place.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

t.test('a file that cannot be written is not remembered as the output of a job', async t => {
  const refused = { on: 'create', nth: 2, status: 403 } as const
  const place = await placeFor(t, { faults: [refused] }, { 'there.jsonl': 'theirs' })
  const words = [...ASK, '--batch-size', '2', '-c', '1', '-o', place.path('out.jsonl')]
  const first = await place.run([...words, '--job', 'j'], { stdin: csv(6) })
  for (const [name, err] of [
    ['there.jsonl', /already exists/],
    ['no-folder/out.jsonl', /is not a folder/],
    ['state/jobs/j/out.jsonl', /would be deleted with the job in whose folder it is/],
    ['state/jobs/j/batches/out.jsonl', /would be deleted with the job/],
  ] as const) {
    const wrong = await place.run(['resume', 'j', '-o', place.path(name)])
    t.match(wrong, { code: 6, err })
    t.notSame(nextWords(wrong).at(-1), place.path(name))
  }
  t.equal((await place.again(first)).code, 0)
  t.equal(rowsOf(place.read('out.jsonl')).length, 6)
  t.equal(place.read('there.jsonl'), 'theirs')
})

t.test('a finished named job prints its rows again for the same input only', async t => {
  const place = await placeFor(t)
  const first = await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  const again = await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  t.same([again.code, again.out], [0, first.out])
  const other = await place.run([...ASK, '--job', 'a'], { stdin: csv(4) })
  t.match(other, {
    code: 6,
    out: '',
    err: /job a is finished and belongs to another command or input/,
  })
  t.equal(await accepted(place), 3)
})

t.test('failed rows are printed again too, and the rows of a retry replace them', async t => {
  const place = await placeFor(t, {
    faults: [
      {
        on: 'create',
        errored: [{ index: 1, times: 1, error: { type: 'invalid_request_error' } }],
      },
    ],
  })
  const first = await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  const again = await place.run(ASK, { stdin: csv(3) })
  t.same([first.code, again.code, again.out], [3, 3, first.out])
  t.equal((await place.run(['retry', 'a'])).code, 0)
  const last = await place.run(ASK, { stdin: csv(3) })
  t.same([last.code, last.rows.length], [0, 3])
  t.equal(await accepted(place), 4)
})

t.test('attached files are compared by their bytes', async t => {
  const place = await placeFor(t, {}, { 'a.txt': 'one', 'b.txt': 'two', 'c.txt': '' })
  const names = ['a', 'b', 'c'].map(name => place.path(`${name}.txt`))
  const stdin = ['path', ...names, ''].join('\n')
  const words = ['-p', 'Sum it up', '--attach', '{{path}}', '--batch-size', '1']
  const first = await place.run(words, { stdin })
  t.equal(first.code, 3, 'one is empty')
  t.match(await place.run(words, { stdin }), { code: 3, out: first.out, err: /has the answers/ })
  t.equal(await accepted(place), 2)
  writeFileSync(place.path('b.txt'), 'two!')
  t.notMatch((await place.run(words, { stdin })).err, 'has the answers')
  t.equal(await accepted(place), 4)
  writeFileSync(place.path('c.txt'), 'three')
  const whole = await place.run(words, { stdin })
  t.same([whole.code, whole.rows.length, await accepted(place)], [0, 3, 7])
  rmSync(place.path('a.txt'))
  t.equal((await place.run(words, { stdin })).code, 3)
  t.equal(await accepted(place), 9)
  writeFileSync(place.path('a.txt'), '')
  const empty = await place.run(words, { stdin })
  t.match(empty.rows[0]?._batch?.error?.message, 'is empty', 'another reason is another row')
})

t.test('attached files are also compared after retries and with chosen ids', async t => {
  const faults = [{ on: 'create' as const, nth: 1, errored: [{ index: 0 }] }]
  const place = await placeFor(t, { faults }, { 'a.txt': 'one', 'b.txt': 'two' })
  const stdin = `n,path\n1,${place.path('a.txt')}\n2,${place.path('b.txt')}\n`
  const words = ['-p', 'Sum it up', '--attach', '{{path}}', '--id', 'row-{{n}}']
  t.equal((await place.run(words, { stdin })).code, 0)
  t.equal(await accepted(place), 3, 'one was retried')
  t.match(await place.run(words, { stdin }), { code: 0, err: /has the answers/ })
  writeFileSync(place.path('b.txt'), 'three')
  t.equal((await place.run(words, { stdin })).code, 0)
  t.equal(await accepted(place), 5)
})

t.test('a command that is stopped while it compares leaves no job', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(30) })
  const stdin = new Readable({ read() {} })
  stdin.push(csv(25))
  const { world, ended } = place.start(ASK, { stdin })
  await until(() => stdin.readableFlowing !== null && stdin.readableLength === 0)
  world.emit('SIGINT', 'SIGINT')
  const ran = await ended
  t.same([ran.code, ran.out, jobsOf(place).length], [130, '', 1])
  t.throws(() => nextWords(ran))
})

t.test('a finished job with a missing file is named, and --fresh ignores it', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  rmSync(join(place.state, 'jobs/a/records.index'))
  t.match(await place.run(ASK, { stdin: csv(3) }), { code: 10, err: /jobs\/a\/records.index/ })
  t.equal((await place.run([...ASK, '--fresh'], { stdin: csv(3) })).code, 0)
})

t.test(
  'of several simultaneous starts of one command with -o, one runs and the others exit with 7',
  async t => {
    const place = await placeFor(t, { batchTimeMs: 100 })
    for (let round = 0; round < 10; round++) {
      const name = `out-${round}.jsonl`
      const words = [...ASK, '--var', `round=${round}`, '-o', place.path(name)]
      const starts = [0, 1, 2, 3].map(async index => {
        await new Promise(resolve => setTimeout(resolve, index * round))
        return await place.run(words, { stdin: csv(3) })
      })
      const all = await Promise.all(starts)
      t.same(
        all.map(({ code }) => code).toSorted(),
        [0, 7, 7, 7],
        all.map(({ err }) => err).join(''),
      )
      t.equal(rowsOf(place.read(name)).length, 3)
    }
    t.equal(await accepted(place), 30)
    t.equal(jobsOf(place).length, 10)
  },
)

t.test('a start whose output belongs to a job that is just starting exits with 7', async t => {
  const place = await placeFor(t, {}, { 'out.jsonl': '' })
  const words = [...ASK, '--job', 'j', '-o', place.path('out.jsonl')]
  mkdirSync(join(place.state, 'jobs/j'), { recursive: true, mode: 0o700 })
  const lock = await lockFolder(join(place.state, 'jobs/j'))
  const late = await place.run(words, { stdin: csv(3) })
  t.match(late, { code: 7, err: /another process is starting job j; nothing was sent/ })
  await lock.release()
  t.match(await place.run(words, { stdin: csv(3) }), {
    code: 6,
    err: /already exists/,
  })
})

t.test('two simultaneous starts of one command pay once', async t => {
  const place = await placeFor(t, { batchTimeMs: 200 })
  const starts = [1, 2, 3].map(() => place.run(ASK, { stdin: csv(20) }))
  const codes = (await Promise.all(starts)).map(({ code }) => code)
  t.same(codes.toSorted(), [0, 7, 7])
  t.equal(await accepted(place), 20)
  t.same(jobsOf(place).length, 1, 'and nothing else is left in the folder')
})

t.test(
  'an input whose first records have changed does not start an unfinished job anew',
  async t => {
    const place = await placeFor(t, { batchTimeMs: 3_600_000 })
    const words = [...ASK, '--batch-size', '10', '--max-wait', '0s']
    t.equal((await place.run(words, { stdin: csv(30) })).code, 11)
    const [name] = jobsOf(place)
    for (const stdin of [
      csv(30).replace('text 0', 'text zero'),
      csv(30).replace('\n', '\n99,text of a new row\n'),
    ]) {
      const ran = await place.run(words, { stdin })
      t.match(ran, {
        code: 6,
        out: '',
        err: `the input has changed since job ${name} of this command began, which is unfinished; nothing was sent. \`claude-batch-stream resume ${name}\` continues`,
      })
    }
    t.equal(await accepted(place), 30)
    t.same(jobsOf(place), [name])

    const other = csv(30).replaceAll(',text ', ',other text ')
    const ran = await place.run(words, { stdin: other })
    t.match(ran, {
      code: 11,
      err: `job ${name} of this command has another input, and is unfinished`,
    })
    t.equal(await accepted(place), 60)
    rmSync(join(place.state, 'jobs', `${name}`, 'records.jsonl'))
    const changed = csv(30).replace('text 0', 'text zero')
    t.equal((await place.run([...words, '--fresh'], { stdin: changed })).code, 11)
    t.equal(await accepted(place), 90, '--fresh sends all of it')
  },
)

t.test('a job that has sent nothing, or that a process works on, is not in the way', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 3_600_000,
    faults: [{ on: 'create', nth: 1, when: 'early', bytes: 9, status: 403 }],
  })
  const words = [...ASK, '--max-wait', '0s']
  const changed = csv(9).replace('text 0', 'text zero')
  t.equal((await place.run(words, { stdin: csv(9) })).code, 5)
  t.equal((await place.run(words, { stdin: changed })).code, 11)
  const running = jobsOf(place).at(-1)
  const lock = await lockFolder(join(place.state, 'jobs', `${running}`))
  const other = await place.run(words, { stdin: csv(9).replaceAll(',text ', ',other text ') })
  await lock.release()
  t.equal(other.code, 11)
  t.notMatch(other.err, 'another input')
  t.equal((await place.run([...words, '--reuse', `${running}`], { stdin: csv(9) })).code, 11)
})
