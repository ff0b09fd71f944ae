import Anthropic from '@anthropic-ai/sdk'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { createEmulator, lastUserText } from '../../lib/emulator/index.ts'
import { runBatches } from '../../lib/index.ts'
import {
  csv,
  FAST_CLOCK,
  journaled,
  KEY,
  placeFor,
  run,
  until,
  type Place,
  type Row,
} from './world.ts'

const ASK = ['-p', 'Say {{text}}']

const accepted = async ({ emulator }: Place): Promise<number> =>
  (await emulator.ledger.totals()).accepted
const from = (rows: readonly Row[]): unknown[] => rows.map(({ _batch }) => _batch?.reused ?? null)
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
const statusOf = async (place: Place, job: string): Promise<Record<string, unknown>> =>
  JSON.parse((await place.run(['status', job, '--json'])).out)

t.test(
  'only new and changed records are sent; other rows reuse the earlier answer for free',
  async t => {
    const place = await placeFor(t)
    const first = await place.run([...ASK, '--job', 'a'], { stdin: csv(12) })
    const stdin = csv(13).replace('text 4\n', 'text four\n')
    const words = [...ASK, '--job', 'b', '--reuse', 'a', '--row-cost']
    const second = await place.run(words, { stdin })
    t.equal(second.code, 0)
    t.equal(await accepted(place), 14, '12, then the changed one and the new one')
    const rows = second.rows
    t.same(
      rows.map(({ id }) => id),
      Array.from({ length: 13 }, (_, id) => String(id)),
    )
    t.same(from(rows), [...times(4, 'a'), null, ...times(7, 'a'), null])
    for (const [at, row] of rows.entries()) {
      t.match(row.response, `Say ${String(row['text'])}`, 'its own answer')
      const { reused, usage, cost_usd, ...meta } = { ...row._batch }
      if (reused === undefined) {
        t.ok(usage)
        t.ok(cost_usd)
        continue
      }
      t.same([usage, cost_usd], [undefined, 0], 'the usage of all rows is what was billed')
      const { usage: _, ...before } = { ...first.rows[at]?._batch }
      t.same(meta, before, 'all else is what the earlier job was told')
    }
    t.match(second.err, /job b: 11 reused \(saved \$0\.0000358\), 2 asked; spent \$0\.00000655/)
    const status = await statusOf(place, 'b')
    t.match(status, { rows: { succeeded: 13 }, reused: 11, asked: 2, saved_usd: Number })
    t.match(await statusOf(place, 'a'), { reused: 0, asked: 12, saved_usd: 0 })
    t.equal((await place.run(['results', 'b', '--row-cost'])).out, second.out)
    t.same(
      readdirSync(join(place.state, 'jobs/b/batches')).filter(name => name.includes('earlier')),
      [],
      'the index is gone',
    )
    t.match(await place.run(['report', 'b', '-o', place.path('b.html')]), { code: 0 })
    t.match(place.read('b.html'), '11 rows have the answer of an earlier job')
  },
)

t.test('the earlier job can be deleted, also when reused answers are reused again', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(5) })
  const second = await place.run([...ASK, '--job', 'b', '--reuse', 'auto'], { stdin: csv(6) })
  t.equal((await place.run(['rm', 'a', '--yes'])).code, 0)
  t.equal((await place.run(['results', 'b'])).out, second.out)
  const third = await place.run([...ASK, '--job', 'c', '--reuse', 'b'], { stdin: csv(7) })
  t.same(from(third.rows), [...times(5, 'a'), 'b', null], 'who asked for it, not who passed it on')
  t.same(
    third.rows.slice(0, 5).map(({ _batch }) => _batch?.batch_id),
    second.rows.slice(0, 5).map(({ _batch }) => _batch?.batch_id),
  )
  t.equal(await accepted(place), 7)
})

t.test('--reuse auto is not believed while an earlier job is damaged', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  const journal = join(place.state, 'jobs/a/journal.jsonl')
  const before = readFileSync(journal)
  writeFileSync(journal, Buffer.from(before).fill(0x20, 300, 310))
  const words = [...ASK, '--job', 'b', '--reuse', 'auto']
  const err = /job a cannot be used: .*damaged.*its answers would be paid for again/
  t.match(await place.run(words, { stdin: csv(4) }), { code: 10, out: '', err })
  t.equal(await accepted(place), 3)
  writeFileSync(journal, before)
  t.equal((await place.run(words, { stdin: csv(4) })).code, 0)
  t.equal(await accepted(place), 4)
})

t.test('--reuse auto takes the newest usable answer of all finished jobs', async t => {
  let answer = 'one'
  const place = await placeFor(t, {
    respond: params => (lastUserText(params).endsWith('text 2') ? answer : undefined),
  })
  t.match(await place.run([...ASK, '--job', 'a', '--reuse', 'auto'], { stdin: csv(3) }), {
    code: 0,
    err: /--reuse auto: there is no finished job yet, so all records are sent/,
  })
  answer = 'two'
  await place.run([...ASK, '--job', 'b', '--fresh'], { stdin: csv(4) })
  const ran = await place.run([...ASK, '--reuse', 'auto'], { stdin: csv(5) })
  t.same(from(ran.rows), ['b', 'b', 'b', 'b', null])
  t.equal(ran.rows[2]?.response, 'two')
  const named = await place.run([...ASK, '--reuse', 'a', '--fresh'], { stdin: csv(5) })
  t.same(from(named.rows), ['a', 'a', 'a', null, null])
  t.equal(named.rows[2]?.response, 'one')
})

t.test(
  'failed, truncated and refused answers are sent again; an older complete answer is used',
  async t => {
    const bad: Record<string, unknown> = {}
    const place = await placeFor(t, {
      respond: params => bad[lastUserText(params).replace('Say text ', '')] as 'x' | undefined,
    })
    await place.run([...ASK, '--job', 'old'], { stdin: csv(2) })
    bad['1'] = { stop_reason: 'refusal' }
    bad['2'] = { stop_reason: 'max_tokens', text: 'half' }
    bad['3'] = { error: { type: 'invalid_request_error', message: 'no' } }
    bad['4'] = { stop_reason: 'stop_sequence' }
    const new_ = await place.run([...ASK, '--job', 'new', '--fresh'], { stdin: csv(6) })
    t.equal(new_.code, 3)
    for (const key of Object.keys(bad)) delete bad[key]
    const ran = await place.run([...ASK, '--reuse', 'auto', '--fresh'], { stdin: csv(6) })
    t.equal(ran.code, 0)
    t.same(from(ran.rows), ['new', 'old', null, null, 'new', 'new'])
  },
)

t.test('the answer of a retry is reused, and a job with reused rows can be retried', async t => {
  const tries = new Map<string, number>()
  const place = await placeFor(t, {
    respond: params => {
      const text = lastUserText(params)
      tries.set(text, (tries.get(text) ?? 0) + 1)
      const isBad = /[13]$/.test(text) && tries.get(text) === 1
      return isBad ? { stop_reason: 'refusal' } : undefined
    },
  })
  await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  t.equal((await place.run(['retry', 'a'])).code, 0)
  const ran = await place.run([...ASK, '--job', 'b', '--reuse', 'a'], { stdin: csv(5) })
  t.same([ran.code, from(ran.rows)], [3, ['a', 'a', 'a', null, null]])
  const again = await place.again(ran)
  t.same([again.code, again.rows.map(({ id }) => id)], [0, ['3']])
  const whole = await place.run(['results', 'b', '--order', 'input'])
  t.same([whole.code, from(whole.rows)], [0, ['a', 'a', 'a', null, null]])
  t.match(await statusOf(place, 'b'), { rows: { succeeded: 5 }, reused: 3, asked: 2 })
})

t.test(
  'reused answers are checked against the schema, and another schema is another request',
  async t => {
    const schemaOf = (...values: string[]): string[] => ['--enum', values.join(',')]
    const place = await placeFor(t, {
      respond: params =>
        /[01]$/.test(lastUserText(params)) ? '{"response":"good"}' : '{"response":"ugly"}',
    })
    const ask = [...ASK, ...schemaOf('good', 'bad')]
    await place.run([...ask, '--job', 'a'], { stdin: csv(4) })
    const ran = await place.run([...ask, '--job', 'b', '--reuse', 'a'], { stdin: csv(5) })
    t.same(from(ran.rows), ['a', 'a', null, null, null])
    const other = await place.run([...ASK, ...schemaOf('good', 'ugly'), '--reuse', 'a'], {
      stdin: csv(4),
    })
    t.same(from(other.rows), times(4, null))
  },
)

t.test('another model, parameter or beta prevents reuse; other ids and rows do not', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  for (const more of [
    ['-m', 'claude-sonnet-5-5'],
    ['-t', '99'],
    ['--beta', 'context-1m-2025-08-07'],
    ['-s', 'Be brief'],
  ]) {
    const ran = await place.run([...ASK, ...more, '--reuse', 'a'], { stdin: csv(3) })
    t.same(from(ran.rows), times(3, null), more.join(' '))
  }
  const ids = await place.run([...ASK, '--id', 'row-{{id}}', '--reuse', 'a'], { stdin: csv(3) })
  t.same(from(ids.rows), times(3, 'a'))
  const text = await place.run([...ASK, '--reuse', 'a', '--to', 'text', '--order', 'input'], {
    stdin: csv(4),
  })
  t.match(text.out, /^echo .*: Say text 0\necho .*: Say text 1\n/)
})

t.test('answers of another API are never reused', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
  await using other = await createEmulator({ batchTimeMs: 20 })
  const words = [...ASK, '--reuse', 'a', '--base-url', other.url]
  const ran = await place.run(words, { stdin: csv(3) })
  t.equal(ran.code, 0)
  t.match(ran.err, `--reuse a: there are no answers from ${other.url}, so all records are sent`)
  t.same(from(ran.rows), times(3, null))
  t.equal((await other.ledger.totals()).accepted, 3)
})

t.test('if everything is reused, nothing is sent, whatever the other flags', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(6) })
  const calls = (): number => place.emulator.ledger.batches().length
  const before = calls()
  for (const more of [
    ['--canary', '2'],
    ['--dedupe'],
    ['--max-cost', '0.0000001'],
    ['--order', 'input', '--batch-size', '2'],
    ['--to', 'csv'],
  ]) {
    const ran = await place.run([...ASK, '--fresh', '--reuse', 'a', ...more], { stdin: csv(6) })
    t.match(ran, { code: 0, err: /6 reused \(saved \$[\d.]+\), 0 asked/ }, more.join(' '))
    t.equal(ran.out.trim().split('\n').length, more.includes('csv') ? 7 : 6)
  }
  t.equal(calls(), before)
})

t.test('--canary and --max-cost count only what is sent', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(6) })
  const stdin = csv(9)
  const capped = await place.run(
    [...ASK, '--reuse', 'a', '-t', '1024', '--max-cost', '0.0000001', '--job', 'b'],
    { stdin },
  )
  t.equal(capped.code, 4)
  const rest = await place.again(capped)
  t.same([rest.code, from(rest.rows)], [0, [...times(6, 'a'), ...times(3, null)]])
  t.equal(await accepted(place), 9)
})

t.test('repeats of a request beside reused answers are sent once', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: 'id,text\n0,a\n' })
  const stdin = 'id,text\n0,b\n1,a\n2,b\n3,a\n4,b\n'
  const ran = await place.run([...ASK, '--reuse', 'a', '--dedupe', '--job', 'b'], { stdin })
  t.same(
    ran.rows.map(({ text, _batch }) => [text, _batch?.reused, _batch?.repeat]),
    [
      ['b', undefined, undefined],
      ['a', 'a', undefined],
      ['b', undefined, true],
      ['a', 'a', undefined],
      ['b', undefined, true],
    ],
  )
  t.match(ran.err, /2 reused \(saved .*\), 1 asked/)
  t.equal(await accepted(place), 2)
})

t.test('a canary of reused records passes, and long reused answers survive a split', async t => {
  const place = await placeFor(t, { respond: () => 'x'.repeat(100_000) })
  await place.run([...ASK, '--job', 'a'], { stdin: csv(8) })
  place.emulator.addFault({ on: 'create', times: 1, status: 413 })
  const stdin = `${csv(8)}8,new\n9,newer\n`
  const words = [...ASK, '--job', 'b', '--reuse', 'a', '--canary', '3', '--order', 'input']
  const ran = await place.run(words, { stdin })
  t.same([ran.code, from(ran.rows)], [0, [...times(8, 'a'), null, null]], ran.err)
  t.ok(ran.rows.every(({ response }) => String(response).length === 100_000))
})

t.test('a batch that the API splits keeps its reused answers', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(5) })
  place.emulator.addFault({ on: 'create', times: 1, status: 413 })
  const stdin = `id,text\n9,new\n${csv(5).split('\n').slice(1).join('\n')}7,newer\n8,newest\n`
  const ran = await place.run([...ASK, '--job', 'b', '--reuse', 'a', '--order', 'input'], { stdin })
  t.same([ran.code, from(ran.rows)], [0, [null, ...times(5, 'a'), null, null]])
  t.equal((await place.run(['results', 'b', '--order', 'input'])).out, ran.out)
})

t.test('an interrupted run resumes with the answers that it has copied', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number > 1 ? 1000 : 20) })
  await place.run([...ASK, '--job', 'a'], { stdin: csv(6) })
  const words = [...ASK, '--job', 'b', '--reuse', 'a', '--batch-size', '2']
  writeFileSync(place.path('in.csv'), csv(9))
  const { world, ended } = place.start([...words, '-i', place.path('in.csv')])
  await until(() => journaled(place, 'submitted', 'b'))
  world.emit('SIGINT', 'SIGINT')
  const stopped = await ended
  t.equal(stopped.code, 130)
  await place.run(['rm', 'a', '--yes'])
  const rest = await place.again(stopped)
  t.equal(rest.code, 0)
  t.equal(rest.rows.length, 9)
  t.ok(from(rest.rows).includes('a'))
  t.match(await place.emulator.ledger.totals(), { billedTwice: 0 })
})

t.test(
  'jobs without keys, damaged ones and missing ones are reported, and everything is sent',
  async t => {
    const place = await placeFor(t)
    await place.run([...ASK, '--job', 'a'], { stdin: csv(3) })
    const batches = join(place.state, 'jobs/a/batches')
    const keys = readFileSync(join(batches, '1.keys'))
    const whole = readFileSync(join(batches, '1.results'))
    const asked = async (say: RegExp, reused: unknown[]): Promise<void> => {
      const ran = await place.run([...ASK, '--reuse', 'a', '--fresh'], { stdin: csv(3) })
      t.same([ran.code, from(ran.rows)], [0, reused])
      t.match(ran.err, say)
    }
    writeFileSync(join(batches, '1.keys'), Buffer.alloc(keys.length))
    await asked(
      /--reuse: some answers of job a cannot be read, .*1\.keys of the job was changed/,
      times(3, null),
    )
    writeFileSync(join(batches, '1.keys'), keys)
    writeFileSync(join(batches, '1.results'), Buffer.alloc(whole.length))
    await asked(/--reuse: some answers of job a cannot be read, .*damaged on disk/, times(3, null))
    rmSync(join(batches, '1.results'))
    await asked(/--reuse: some answers of job a cannot be read, .*1\.results/, times(3, null))
    writeFileSync(join(batches, '1.results'), whole)
    await asked(/3 reused/, times(3, 'a'))
  },
)

t.test('a damaged job is named once; missing ones and those without keys are reported', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 3 ? 3_600_000 : 20) })
  await place.run([...ASK, '--job', 'a', '--batch-size', '2'], { stdin: csv(4) })
  const words = [...ASK, '--job', 'b', '--reuse', 'a']
  // More records than are sealed ahead of a batch in flight, so that the resumed job has to look for answers.
  const stopped = await place.run([...words, '-c', '1', '--batch-size', '1', '--max-wait', '0s'], {
    stdin: csv(60),
  })
  t.equal(stopped.code, 11, stopped.err)
  for (const batch of [1, 2]) {
    const keys = join(place.state, `jobs/a/batches/${batch}.keys`)
    writeFileSync(keys, Buffer.alloc(readFileSync(keys).length))
  }
  const dry = await place.run([...ASK, '--reuse', 'a', '-n'], { stdin: csv(4) })
  t.equal([...dry.err.matchAll(/some answers of job a cannot be read/g)].length, 1, dry.err)
  writeFileSync(join(place.state, 'jobs/a/journal.jsonl'), 'no journal\n')
  const broken = await place.run([...ASK, '--reuse', 'a', '-n'], { stdin: csv(4) })
  t.match(broken, { code: 10, err: /job a cannot be used: / })
  t.match(await place.run(['resume', 'b', '-c', '10']), { code: 10, err: /job a cannot be used: / })
  const sent = await accepted(place)
  rmSync(join(place.state, 'jobs/a'), { recursive: true })
  t.match(await place.run(['resume', 'b', '-c', '10']), {
    code: 2,
    err: /--reuse: there is no job a in/,
  })
  t.equal(await accepted(place), sent, 'nothing more was sent')
})

t.test('a job that is reused is neither pruned nor deleted by mistake', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number > 1 ? 3_600_000 : 20) })
  await place.run([...ASK, '--job', 'a'], { stdin: csv(4) })
  await place.run([...ASK, '--job', 'b', '--reuse', 'a', '--detach'], { stdin: csv(5) })
  t.match(await place.run(['prune', '--keep', '0s']), { code: 0, err: '' })
  t.match(await place.run(['rm', 'a']), {
    code: 2,
    err: /job a is reused by the unfinished job b \(`resume b` copies what it needs\); /,
  })
  writeFileSync(join(place.state, 'jobs/b/earlier.json'), '{')
  t.match(await place.run(['prune', '--keep', '0s']), { code: 10, err: /earlier\.json is damaged/ })
})

for (const [how, replace] of [
  ['deleted', async (place: Place) => await place.run(['rm', 'a', '-y'])],
  [
    'replaced',
    async (place: Place) =>
      await place.run(['-p', 'Other {{text}}', '--job', 'a', '--fresh'], { stdin: csv(1) }),
  ],
] as const)
  for (const reuse of ['a', 'auto'])
    t.test(`--reuse ${reuse}: answers of a job that is ${how} are not paid for again`, async t => {
      const place = await placeFor(t)
      await place.run([...ASK, '--job', 'a', '--batch-size', '2'], { stdin: csv(100) })
      const before = await accepted(place)
      // A new record in front of each twenty old ones.
      const [header, ...old] = csv(100).trimEnd().split('\n')
      const lines = old.flatMap((line, at) => (at % 20 === 0 ? [`n${at},new ${at}`, line] : [line]))
      const input = (part: readonly string[]): string => part.map(line => `${line}\n`).join('')
      const stdin = input([header ?? '', ...lines])
      const words = [...ASK, '--job', 'b', '--batch-size', '1', '-c', '1']
      let replaced: Promise<unknown> | undefined
      // Half of the input comes when the answers to the first half are copied.
      const halves = async function* (): AsyncGenerator<Buffer> {
        yield Buffer.from(input([header ?? '', ...lines.slice(0, 60)]))
        await until(() => journaled(place, 'sealed', 'b'))
        replaced = replace(place)
        await replaced
        yield Buffer.from(input(lines.slice(60)))
      }
      const ran = await place.run([...words, '--reuse', reuse], {
        stdin: Readable.from(halves()),
        clock: FAST_CLOCK,
      })
      t.match(ran, {
        code: 2,
        err: /--reuse: job a, whose answers are reused, was deleted, replaced or damaged since/,
      })
      // The run may notice it, and end, before it is done.
      await replaced
      const isNew = async (): Promise<boolean> => (await accepted(place)) - before <= 6
      t.ok(await isNew(), 'only new records were sent')
      const again = await place.run([...words, '--reuse', reuse], { stdin, clock: FAST_CLOCK })
      if (how === 'replaced' && reuse === 'auto') {
        t.same([again.code, again.rows.length], [0, lines.length], 'it has another name now')
        return t.ok(await isNew())
      }
      t.match(again, { code: 2, err: /--reuse: (job a, whose answers|there is no job a)/ })
      const rest = await place.run(words, { stdin, clock: FAST_CLOCK })
      t.same([rest.code, rest.rows.length], [0, lines.length])
    })

t.test(
  'jobs without keys are counted, and a preview without a base URL looks for answers of the API',
  async t => {
    const place = await placeFor(t)
    const client = new Anthropic({ baseURL: place.emulator.url, apiKey: KEY })
    const words = [...ASK, '--reuse', 'auto', '-n', '--state-dir', place.state]
    const asked = async (): Promise<string> =>
      (await run(words, { stdin: csv(1), env: place.env })).err
    for (const [name, say] of [
      ['x', /--reuse auto: the job does not say what was asked/],
      ['y', /--reuse auto: the 2 finished jobs do not say what was asked/],
    ] as const) {
      const job = { name, dir: place.state }
      for await (const { status } of runBatches([{ a: null }], {
        ...{ client, job, poll: 10, prompt: 'Hi {{a}}', model: 'claude-haiku-5-5' },
      }))
        t.equal(status, 'rejected')
      t.match(await asked(), say)
    }
    await place.run([...ASK, '--job', 'a'], { stdin: csv(1) })
    t.match(await asked(), /there are no answers from https:\/\/api\.anthropic\.com,/)
  },
)

t.test('the saved cost of reused answers is unknown where their price is', async t => {
  const place = await placeFor(t, { respond: () => ({ model: 'claude-unpriced-1' }) })
  await place.run([...ASK, '--job', 'a'], { stdin: csv(2) })
  const ran = await place.run([...ASK, '--job', 'b', '--reuse', 'a'], { stdin: csv(2) })
  t.match(ran.err, /job b: 2 reused, 0 asked; /)
  t.match(await statusOf(place, 'b'), { reused: 2, saved_usd: null })
})

t.test('flags that conflict with --reuse are reported before anything is sent', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'night'], { stdin: csv(1) })
  for (const [more, say] of [
    [['--reuse', 'nihgt'], /there is no job nihgt in .* \(did you mean "night"\?\)/],
    [['--reuse', 'night', '--job', 'night'], /--reuse night is the job itself/],
    [['--reuse', 'auto', '--emulate'], /--reuse cannot be combined with --emulate/],
    [
      ['--reuse', 'auto', '--ledger', 'postgres://127.0.0.1:1/x'],
      /--reuse cannot be combined with --ledger/,
    ],
    [['--reuse', ''], /--reuse/],
  ] as const) {
    const ran = await place.run([...ASK, ...more], { stdin: csv(2) })
    t.match(ran, { code: 2, out: '', err: say }, more.join(' '))
  }
  t.equal(await accepted(place), 1)
})

t.test('shards reuse the answers of the shards of an earlier job', async t => {
  const place = await placeFor(t, {}, { 'a.csv': csv(400), 'b.csv': csv(401) })
  const shards = async (job: string, file: string, more: string[] = []): Promise<Row[]> => {
    const rows: Row[] = []
    for (const shard of ['0/2', '1/2']) {
      const ran = await place.run([
        ...ASK,
        ...['-i', place.path(file), '--job', job, '--shard', shard, ...more],
      ])
      t.equal(ran.code, 0)
      rows.push(...ran.rows)
    }
    return rows
  }
  await shards('a', 'a.csv')
  const rows = await shards('b', 'b.csv', ['--reuse', 'a'])
  t.equal(rows.filter(({ _batch }) => /^a\.0000[01]$/.test(String(_batch?.reused))).length, 400)
  t.equal(await accepted(place), 401)
})

t.test('--dry-run and estimate count and price what would be sent', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'a'], { stdin: csv(8) })
  const dry = await place.run([...ASK, '--reuse', 'a', '-n'], { stdin: csv(9) })
  t.match(dry, { code: 0, err: /9 records, 1 request in 1 batch, .*, 8 reused/ })
  const ran = await place.run(
    ['estimate', ...ASK, '--reuse', 'auto', '--json', '--state-dir', place.state],
    { stdin: csv(9) },
  )
  const whole = await place.run(['estimate', ...ASK, '--json'], { stdin: csv(1) })
  const { reused, tokens } = JSON.parse(ran.out)
  t.equal(reused, 8)
  t.same(tokens, JSON.parse(whole.out).tokens)
})

t.test(
  'the same finished command with attached files prints its rows until a file changes',
  async t => {
    const place = await placeFor(t, {}, { 'a.txt': 'one', 'b.txt': 'two' })
    const stdin = `path\n${place.path('a.txt')}\n${place.path('b.txt')}\n`
    const words = ['-p', 'Sum it up', '--attach', '{{path}}', '--reuse', 'auto']
    await place.run([...words, '--job', 'a'], { stdin })
    const ran = await place.run([...words, '--job', 'b'], { stdin })
    t.same(from(ran.rows), ['a', 'a'])
    t.match(await place.run([...words, '--job', 'b'], { stdin }), {
      out: ran.out,
      err: /has the answers/,
    })
    writeFileSync(place.path('b.txt'), 'three')
    t.match(await place.run([...words, '--job', 'b'], { stdin }), { code: 6 })
    writeFileSync(place.path('b.txt'), '')
    t.match(await place.run([...words, '--job', 'b'], { stdin }), { code: 6 })
    t.equal(await accepted(place), 2)
  },
)

t.test('an unfinished job is named, since its records are paid for again', async t => {
  const place = await placeFor(t, { batchTimeMs: 1000 })
  await place.run([...ASK, '--job', 'a', '--detach'], { stdin: csv(3) })
  const ran = await place.run([...ASK, '--job', 'b', '--reuse', 'a'], { stdin: csv(3) })
  t.match(ran.err, /--reuse: job a is not finished: its records without an answer are sent/)
  t.equal(await accepted(place), 6)
})
