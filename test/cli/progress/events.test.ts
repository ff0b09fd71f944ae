import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t from 'tap'
import { eventLines } from '../../../lib/cli/progress/event-lines.ts'
import type { ProgressReport } from '../../../lib/cli/progress/report.ts'
import { after, NOTHING, totalOf } from '../../../lib/cli/progress/run-progress.ts'
import { fold } from '../../../lib/core/job/state.ts'
import { journalOf } from '../../support/world.ts'
import { csv, KEY, placeFor, run, until } from '../world.ts'
import { needs } from '../../support/needs.ts'

type Line = Readonly<Record<string, unknown>> & { readonly type: string }

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/events.md'), 'utf8')
const ASK = ['-p', 'Say {{text}}', '--job', 'j']

t.test('--events holds the history of a job over all its commands', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'results', nth: 1, status: 503 }],
  })
  const events = place.path('events.jsonl')
  const more = ['--batch-size', '2', '--events', events]
  await place.run([...ASK, ...more, '--detach', '--max-cost', '1'], { stdin: csv(3) })
  const ran = await place.run(['resume', 'j', '-o', place.path('out.jsonl'), '--events', events])
  t.equal(ran.code, 0)

  const lines = linesOf(place.read('events.jsonl'))
  const types = lines.map(({ type }) => type)
  t.equal(types.filter(type => type === 'started').length, 2)
  t.same(
    lines.filter(({ type }) => type === 'exit').map(({ code, next }) => [code, next]),
    [
      [
        0,
        [
          'resume',
          'j',
          '--state-dir',
          place.state,
          '--base-url',
          place.emulator.url,
          ...['--poll', '10ms', '--settle', '200ms'],
        ],
      ],
      [0, null],
    ],
  )
  for (const { job, time } of lines) {
    t.equal(job, 'j')
    t.equal(new Date(String(time)).toISOString(), time)
  }

  await t.test('it contains every journal event unchanged', async t => {
    const journal = journalOf(join(place.state, 'jobs/j'))
    const told = lines.map(({ time: _, job: __, ...event }) => JSON.stringify(event))
    for (const event of journal.slice(1)) t.ok(told.includes(JSON.stringify(event)), event.type)
    t.ok(fold(journal)?.finished)
  })
  await t.test('rows and costs are reported for each batch', async t => {
    t.same(
      lines.filter(({ type }) => type === 'rows').map(({ rows }) => rows),
      [2, 3],
    )
    const spent = lines
      .filter(({ type }) => type === 'spent')
      .map(line => Number(line['spent_usd']))
    t.equal(spent.length, 2)
    t.ok((spent[0] ?? 0) > 0 && (spent[1] ?? 0) > (spent[0] ?? 0))
  })
  await t.test('the documentation lists every event and field', async t => {
    for (const { type, ...fields } of lines) {
      const row = PAGE.split('\n').find(line => line.startsWith(`| \`${type}\``)) ?? ''
      for (const field of Object.keys(fields))
        if (!['time', 'job'].includes(field)) t.match(row, `\`${field}\``, `${type}: ${field}`)
    }
  })
  t.notMatch(place.read('events.jsonl'), KEY)
})

t.test('the first event is the state of the job, so that a reader needs no memory', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--detach'], { stdin: csv(3) })
  const events = place.path('later.jsonl')
  await place.run(['resume', 'j', '--events', events])
  const [first] = linesOf(place.read('later.jsonl'))
  t.match(first, {
    type: 'started',
    records: 3,
    complete: true,
    batches: [{ number: 1, attempt: 1, phase: 'submitted', id: /^msgbatch_/, requests: 3 }],
  })
})

t.test(
  '--progress json prints the same on stderr, and an emulated run reports no costs',
  async t => {
    const ran = await run(
      ['--emulate', '--batch-time', '5ms', '-p', 'x', '-q', '--progress', 'json'],
      {
        stdin: csv(2),
      },
    )
    const types = linesOf(ran.err).map(({ type }) => type)
    t.same([types[0], types.at(-1)], ['started', 'exit'])
    t.ok(types.includes('rows') && !types.includes('spent'))
  },
)

t.test('the reason for a waiting batch is reported', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'create', nth: 1, status: 429 }],
  })
  const ran = await place.run([...ASK, '--progress', 'json', '-q'], { stdin: csv(1) })
  t.match(
    linesOf(ran.err).find(({ type }) => type === 'waiting'),
    { number: 1, why: /./ },
  )
})

t.test('--events never changes a file of something else, such as the input', async t => {
  const place = await placeFor(t, {}, { 'in.csv': csv(3), empty: '' })
  const words = ['-i', place.path('in.csv'), '-p', 'Say {{text}}']
  const ran = await place.run([...words, '--events', place.path('in.csv')])
  t.match(ran, { code: 6, err: /in\.csv holds something other than events/ })
  t.equal(readFileSync(place.path('in.csv'), 'utf8'), csv(3))
  t.equal((await place.run([...words, '--events', place.path('empty')])).code, 0)
  t.match(readFileSync(place.path('empty'), 'utf8'), /"type":"finished"/)
})

t.test('--events is no file of rows, and none is left by the attempt', async t => {
  const place = await placeFor(t)
  const path = place.path('rows.jsonl')
  for (const flag of ['-o', '--errors'])
    t.match(await place.run(['-p', 'x', flag, path, '--events', path], { stdin: csv(1) }), {
      code: 2,
      err: /--events must be another file than --(output|errors)/,
    })
  t.notOk(existsSync(path))
})

t.test('nothing starts if --events cannot be opened', async t => {
  const place = await placeFor(t)
  for (const [file, code, why] of [
    [place.path('none/events'), 6, /--events .* cannot be opened/],
    ['-', 2, /--events must be a file: stdout is for rows/],
  ] as const) {
    const ran = await place.run([...ASK, '--events', file], { stdin: csv(1) })
    t.equal(ran.code, code)
    t.match(ran.err, why)
  }
  t.equal((await place.run(['list'])).out, '')
  t.same((await place.run([...ASK, '--progress', 'bars'])).code, 2)
})

t.test(
  'a full disk of --events is reported once, and the run continues',
  needs('/dev/full'),
  async t => {
    const place = await placeFor(t)
    const ran = await place.run([...ASK, '--events', '/dev/full'], { stdin: csv(2) })
    t.equal(ran.code, 0)
    t.equal(ran.said.filter(line => /--events .* can no longer be written/.test(line)).length, 1)
  },
)

t.test('a status command writes no events, whatever the environment names', async t => {
  const place = await placeFor(t)
  const events = place.path('none.jsonl')
  const env = { ...place.env, CLAUDE_BATCH_STREAM_EVENTS: events }
  t.equal((await place.run(['list'], { env })).code, 0)
  t.throws(() => place.read('none.jsonl'))
})

t.test('a closed stream is not written to', async t => {
  const gone = new Writable({ write: (_chunk, _encoding, done) => done() })
  gone.destroy()
  await until(() => gone.closed)
  const lines = await eventLines(gone)
  lines.write({ time: '', job: null, type: 'exit', code: 0, next: null })
  await t.resolves(lines.close())
})

t.test('the total of batches does not change once the input is read', async t => {
  const place = await placeFor(t, { batchTimeMs: 100 })
  const events = place.path('events.jsonl')
  const sizes = ['--batch-size', '2', '-c', '1', '--canary', '1', '--events', events]
  t.equal((await place.run([...ASK, ...sizes], { stdin: csv(8) })).code, 0)
  let progress = NOTHING
  const totals = new Set<number>()
  // The program wrote them itself.
  for (const report of linesOf(place.read('events.jsonl')) as unknown as ProgressReport[]) {
    progress = after(progress, report)
    if (progress.complete) totals.add(totalOf(progress).batches)
  }
  t.same([...totals], [1 + 4])
})
