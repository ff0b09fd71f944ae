import { existsSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { Collected, csv, KEY, placeFor, run, runIn, until, World } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--job', 'j']

/** The texts of a page as a reader sees them. */
function seen(page: string): string {
  return page
    .replace(/<(style|title|script)>[^]*?<\/\1>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
}

t.test('a report shows the job of a run, and agrees with status', async t => {
  const place = await placeFor(t, {
    respond: (params, { attempt }) => {
      const text = JSON.stringify(params)
      if (text.includes('text 1"')) return attempt === 1 ? { expired: true } : 'at last'
      if (text.includes('text 2')) return { stop_reason: 'refusal' }
      if (/text [34]"/.test(text))
        return { error: { type: 'invalid_request_error', message: `<b>bad ${text.length}</b>` } }
      return undefined
    },
  })
  const input = `${csv(6).replace('text 2', `text 2${' long'.repeat(99)}`)}"<i>\u001b[1m"\n`
  t.equal((await place.run([...ASK, '--batch-size', '3'], { stdin: input })).code, 3)
  const file = place.path('report.html')
  const ran = await place.run(['report', 'j', '-o', file])
  t.match(ran, { code: 0, out: '', err: `job j: the report is ${file}` })
  const page = place.read('report.html')
  const text = seen(page)
  t.match(text, /j finished 7 records, model claude-haiku-5-5/)
  t.match(text, /succeeded 3, 42\.9% refused 1, 14\.3% errored 2, 28\.6% rejected 1, 14\.3%/)
  t.match(text, /Attempt Requests succeeded refused errored expired 1 6 2 1 2 1 2 1 1 0 0 0/)
  t.match(
    text,
    /2 rows errored invalid_request_error &lt;b&gt;bad \d+&lt;\/b&gt; Line Record 5 \{.*?\} 6 /,
  )
  t.match(text, /1 row rejected wrong_column_count .*? 8 \{&quot;input&quot;:.*&lt;i&gt;/)
  t.match(
    text,
    /1 row refused refusal .*? 4 \{&quot;id&quot;:&quot;2&quot;,&quot;text&quot;:&quot;text 2( long){32,}[ long]*… /,
  )
  t.notMatch(page, /<b>bad|<i>|\u001b/)
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.match(text, `input ${status.tokens.input} $`)
  t.match(text, `output ${status.tokens.output} $`)
  t.same(status.rows, { succeeded: 3, refused: 1, errored: 2, rejected: 1 })
  t.notMatch(page, KEY)
})

t.test('a report shows the prompt and the parameters of the job, and no secret', async t => {
  const place = await placeFor(t, {}, { 'p.txt': `Mood of:\n{{text}} (${KEY})\n` })
  const schema = '{"type":"object","properties":{"mood":{"type":"string"}}}'
  const asked = [
    ...['--prompt-file', place.path('p.txt'), '--system', 'Be brief.', '--schema', schema],
    ...['--max-tokens', '77', '--param', 'stop_sequences=["END"]', '--var', 'tone=dry'],
    ...['--id', '{{id}}', '--cache', '--attach', place.path('p.txt'), '--beta', 'some-beta'],
  ]
  await place.run([...asked, '--job', 'j', '-m', 'claude-sonnet-5-5'], { stdin: csv(1) })
  const shown = await place.run(['report', 'j'])
  t.match(
    shown.out,
    /<bdi>Mood of:\n\{\{text\}\} \(\*\*\*\)<\/bdi>/,
    'lines as in the file, without the key',
  )
  const text = seen(shown.out)
  t.match(text, /System prompt Be brief\. Schema \{ &quot;type&quot;: &quot;object&quot;, .*mood/)
  t.match(
    text,
    new RegExp(
      [
        'Model claude-sonnet-5-5 Maximum tokens 77 stop_sequences \\[&quot;END&quot;\\]',
        '\\{\\{tone\\}\\} dry Attached files \\S+p\\.txt Prompt cache on Ids from \\{\\{id\\}\\}',
        'Betas some-beta API http://127\\.0\\.0\\.1:\\d+ Rows by status',
      ].join(' '),
    ),
  )
  t.match(text, /Batch State Requests .* 1 fetched 1 0 1 \d\d-\d\d \d\d:\d\d:\d\d .* msgbatch_/)
})

t.test('a job that uses the API of Anthropic names no other', async t => {
  const place = await placeFor(t)
  // The only record is rejected, so no call is made.
  const where = ['--state-dir', place.state]
  const ran = await run([...ASK, ...where], { stdin: 'id,text\n1\n', env: place.env })
  t.equal(ran.code, 3, ran.err)
  const text = seen((await run(['report', 'j', ...where], { env: place.env })).out)
  t.match(text, /Maximum tokens \d+ Rows by status/)
})

t.test('a template module is named, and records with own prompts need none', async t => {
  const module = 'export default ({ text }) => `Say ${text}`'
  const place = await placeFor(t, {}, { 'ask.mjs': module })
  await place.run(['--template', place.path('ask.mjs'), '--job', 'j'], { stdin: csv(1) })
  const text = seen((await place.run(['report', 'j'])).out)
  t.match(text, /Prompt and parameters Template module \S+ask\.mjs/)
  t.notMatch(text, 'Maximum tokens')
})

t.test('a report replaces an earlier report of its job, and no other file', async t => {
  const place = await placeFor(t)
  const file = place.path('report.html')
  await place.run(ASK, { stdin: csv(1) })
  await place.run([...ASK.with(3, 'k')], { stdin: csv(2) })
  t.equal((await place.run(['report', 'j', '-o', file])).code, 0)
  const first = place.read('report.html')
  t.equal((await place.run(['report', 'j', '-o', file, '--price', '10,50'])).code, 0)
  t.not(place.read('report.html'), first, 'it is the newer one')
  t.match(await place.run(['report', 'k', '-o', file]), { code: 6, err: /report\.html/ })
  t.match(seen(place.read('report.html')), /^ *j finished/)
})

t.test('HTML is not printed on a terminal', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(1) })
  const stdout = Object.assign(new Collected(), { isTTY: true })
  const ran = await place.run(['report', 'j'], { stdout })
  t.match(ran, { code: 2, err: /-o report\.html/ })
  t.equal(stdout.text, '')
})

t.test('a report never writes over a file, and goes to stdout without one', async t => {
  const place = await placeFor(t, {}, { 'mine.html': 'mine' })
  await place.run(ASK, { stdin: csv(1) })
  const calls = place.emulator.ledger.lastCalls().length
  const kept = await place.run(['report', 'j', '-o', place.path('mine.html')])
  t.match(kept, { code: 6, err: /mine\.html already exists/ })
  t.equal(place.read('mine.html'), 'mine')
  const shown = await place.run(['report', 'j'])
  t.match(shown, { code: 0, out: /^<!doctype html>[^]*<\/html>\n$/, err: '' })
  t.equal((await place.run(['report', 'j', '-o', '-'])).code, 0)
  const nowhere = await place.run(['report', 'j', '-o', place.path('no/such/folder.html')])
  t.match(nowhere, { code: 9, err: /folder\.html cannot be written/ })
  t.equal((await place.run(['report', 'j', '-o', '/dev/null'])).code, 0, 'a device is no file')
  const folder = await place.run(['report', 'j', '-o', place.dir])
  t.match(folder, { code: 6, err: /is a folder: choose a file/ })
  symlinkSync(place.path('nothing'), place.path('link.html'))
  const linked = await place.run(['report', 'j', '-o', place.path('link.html')])
  t.match(
    linked,
    { code: 6, err: /link\.html already exists/ },
    'nor does it follow a link to nothing',
  )
  t.equal(place.emulator.ledger.lastCalls().length, calls, 'no call was made')
})

t.test('the report of a running job shows its current state and does not disturb it', async t => {
  const place = await placeFor(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 20 : 3_600_000),
  })
  const { world, ended } = place.start([...ASK, '--batch-size', '3'], { stdin: csv(5) })
  const name = 'state/jobs/j/journal.jsonl'
  const journal = (): string => (existsSync(place.path(name)) ? place.read(name) : '')
  await until(() => /"fetched"/.test(journal()) && journal().split('"submitted"').length === 3)
  const text = seen((await place.run(['report', 'j'])).out)
  t.match(text, /j running 5 records, model/)
  t.match(text, /succeeded 3, 60% no row yet 2, 40%/)
  t.match(text, 'not ended')
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  t.match(seen((await place.run(['report', 'j'])).out), /j unfinished 5 records/)
})

t.test('repeated rows and rows without an answer are counted as such', async t => {
  const place = await placeFor(t, { faults: [{ on: 'results', lines: { drop: 2 } }] })
  const input = 'text\na\nb\na\nb\n" "\n" "\n'
  const ask = [...ASK.with(1, '{{text}}'), '--dedupe', '--retries', '0']
  const ran = await place.run(ask, { stdin: input })
  t.equal(ran.code, 3, ran.err)
  const shown = await place.run(['report', 'j'])
  t.equal(shown.code, 0, shown.err)
  const text = seen(shown.out)
  t.match(text, /succeeded 2, .* unanswered 2, /)
  t.match(
    text,
    /2 rows unanswered unanswered the API ended the batch without a line for this request/,
  )
  t.match(text, /2 rows have the answer of an identical request, and cost nothing/)
  t.match(text, /every answer received \(1\)/)
})

t.test('prices can be given, and unexpected arguments are errors', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '-m', 'claude-mythos-preview'], { stdin: csv(1) })
  const page = async (...more: string[]): Promise<string> =>
    seen((await place.run(['report', 'j', ...more])).out)
  t.match(await page(), 'no price is known for claude-mythos-preview')
  t.match(await page('--price', '10,50'), /Batches saved \$0\.\d+, 50%/)
  t.match(await place.run(['report']), { code: 2, err: /report takes one name/ })
  t.match(await place.run(['report', 'k']), { code: 2, err: /there is no job k/ })
})

t.test('an answer that violates the schema is a failure in the report, as in its row', async t => {
  const schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] }
  const place = await placeFor(
    t,
    { respond: () => '{"m":1}' },
    { 's.json': JSON.stringify(schema) },
  )
  await place.run([...ASK, '--schema', place.path('s.json')], { stdin: csv(1) })
  t.match(seen((await place.run(['report', 'j'])).out), /1 row invalid \w+ /)
})

t.test('Ctrl-C ends the report', async t => {
  const place = await placeFor(t)
  await place.run(['--job', 'j'], { stdin: 'prompt\nsay a\nsay b\n' })
  const world = new World()
  world.on('newListener', (event, listener: (signal: string) => void) => {
    if (event === 'SIGINT') queueMicrotask(() => listener('SIGINT'))
  })
  const ran = await runIn(world, ['report', 'j', '--state-dir', place.state])
  t.match(ran, { code: 130, out: '', err: '' })
  const whole = await run(['report', 'j', '--state-dir', place.state])
  t.equal(whole.code, 0)
  t.match(seen(whole.out), /j finished 2 records\. Started/, 'each record says its own model')
})
