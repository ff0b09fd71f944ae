import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { parseFlags } from '../../lib/cli/flags.ts'
import { optionsOf } from '../../lib/cli/options.ts'
import { csv, placeFor, type Place } from './world.ts'

const ASK = ['-p', 'Say {{text}}']
const ADDRESSES = join(import.meta.dirname, '../../examples/data/state-of-the-union.csv')

async function estimateOf(place: Place, words: readonly string[], stdin?: string) {
  const ran = await place.run(['estimate', ...words, '--json'], { stdin })
  return { ...ran, figures: JSON.parse(ran.out || 'null') }
}

t.test('an estimate reports what a run would cost, needs no key and opens no socket', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['estimate', ...ASK], { stdin: csv(100), env: {} })
  t.equal(ran.code, 0)
  t.equal(ran.err, '')
  t.match(
    ran.out,
    /^100 records, 100 requests in 1 batch, \d+ bytes; 0 invalid records\ninput: \d+ tokens \(estimated from bytes: ± 30 %; --exact counts a sample\)\nanswers: 10000 tokens expected, 102400 at most\ncost: \$[\d.]+ expected, at least \$[\d.]+, at worst \$[\d.]+ \(synchronous calls: \$[\d.]+\)\n$/,
  )
  t.same(place.emulator.ledger.calls(), [])
})

t.test('with --exact the State of the Union job costs what was estimated', async t => {
  const place = await placeFor(t)
  const job = [
    ...['-i', ADDRESSES, '--batch-size', '80', '-t', '16'],
    ...['-p', 'In one word, what does {{president}} open with in {{year}}? {{opening}}'],
  ]
  const { figures } = await estimateOf(place, [...job, '--exact'])
  t.match(figures, { records: 233, requests: 233, batches: 3, rejected: 0, sample: 100 })
  t.ok(figures.tokens.input_error > 0 && figures.tokens.input_error < 0.05)
  t.equal((await place.emulator.ledger.totals()).accepted, 0, 'nothing was sent')
  await place.run([...job, '--job', 'j'])
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  const ratio = figures.usd.expected / shown.spent_usd
  t.ok(Math.abs(ratio - 1) < 0.15, `estimated ${ratio} of what it cost`)
  t.ok(figures.usd.least < shown.spent_usd && shown.spent_usd < figures.usd.worst)
})

t.test('an estimate counts the batches, bytes and bad records of a run', async t => {
  const place = await placeFor(t)
  const { figures, code } = await estimateOf(
    place,
    ['--id', '{{text}}', '--batch-size', '2', '-p', '{{text}}'],
    'text\na\nb\na\nc\nd\ne\n',
  )
  t.equal(code, 3)
  t.match(figures, { records: 6, rejected: 1, requests: 5, batches: 3, sample: null })
})

t.test('an estimate reads a pipe as it arrives, and stores nothing', async t => {
  const place = await placeFor(t)
  let lines = 0
  const endless = Readable.from(
    (function* () {
      yield 'text\n'
      for (; lines < 20_000; lines += 1000) yield 'some words\n'.repeat(1000)
    })(),
  )
  const ran = await place.run(['estimate', ...ASK, '--json'], { stdin: endless })
  t.equal(JSON.parse(ran.out).records, 20_000)
})

t.test('the cost of an image is unknown until it is counted', async t => {
  const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(30_000)])
  const place = await placeFor(t, {}, { 'a.png': '' })
  const { writeFileSync } = await import('node:fs')
  writeFileSync(place.path('a.png'), png)
  const words = ['-p', 'What is on it?', '--from', 'files', '-i', place.path('a.png')]
  const plain = await place.run(['estimate', ...words])
  t.match(plain.out, /without the images, PDFs and API content of 1 requests/)
  t.match(plain.out, /cost: expected cost unknown: 1 of 1 requests/)
  const { figures } = await estimateOf(place, [...words, '--exact'])
  t.match(figures, { unknown: 0, sample: 1 })
  t.ok(figures.usd.expected > 0)
  await place.run([...words, '--job', 'j'])
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.equal(shown.estimate_usd, null, 'a guess by its bytes would be far too high')
})

t.test('cached tokens are counted separately', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '--cache', '-s', 'Be very brief. '.repeat(200)]
  const ran = await place.run(['estimate', ...words], { stdin: csv(10) })
  t.match(ran.out, /^input: \d+ tokens, \d+ of them cached \(estimated/m)
  const short = await place.run(['estimate', ...ASK, '--cache', '-s', 'Be brief.'], {
    stdin: csv(9),
  })
  t.match(short.err, /the prompt cache will not help/)
  t.notMatch(short.out, 'cached')
})

t.test('requests that the token counter rejects are left out, and reported once', async t => {
  const place = await placeFor(t)
  const messages = [{ role: 'user', content: 'a' }]
  const bad = { params: { messages, tools: [{ nameless: true }] } }
  const input = [bad, bad, { prompt: 'fine' }].map(one => `${JSON.stringify(one)}\n`).join('')
  const ran = await place.run(['estimate', '--exact', '--json'], { stdin: input })
  t.equal(ran.said.length, 1)
  t.match(ran.err, /^a request of the sample would be rejected: .*tools\.0\.name: Field required/)
  t.match(JSON.parse(ran.out), { requests: 3, sample: 1 })
})

t.test('--exact says how many requests it counted', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['estimate', ...ASK, '--exact'], { stdin: csv(2) })
  t.match(ran.out, /^input: \d+ tokens \(counted on 2 of 2 requests: ± 0 %\)$/m)
})

t.test('without a token counter or a key, --exact is an error instead of a guess', async t => {
  const place = await placeFor(t, { faults: [{ on: 'count_tokens', times: 99, status: 404 }] })
  const ran = await place.run(['estimate', ...ASK, '--exact'], { stdin: csv(2) })
  t.equal(ran.code, 8)
  t.match(ran.err, /--exact cannot count tokens/)
  const keyless = await place.run(['estimate', ...ASK, '--exact'], { stdin: csv(2), env: {} })
  t.equal(keyless.code, 5)
})

t.test('truncated input is estimated up to where it ends, and reported', async t => {
  const place = await placeFor(t)
  for (const words of [['estimate'], ['run', '--dry-run']]) {
    const ran = await place.run([...words, ...ASK], { stdin: '[{"text":"a"},{"text":' })
    t.equal(ran.code, 6)
    t.match(ran.out + ran.err, /1 record, 1 request in 1 batch/)
  }
})

t.test('a request that the token counter cannot check is sent without a preflight', async t => {
  const place = await placeFor(t, { faults: [{ on: 'count_tokens', times: 99, status: 400 }] })
  const source = { type: 'url', url: 'https://example.org/a.png' }
  const request = {
    model: 'claude-haiku-5-5',
    max_tokens: 9,
    messages: [{ role: 'user', content: [{ type: 'image', source }] }],
  }
  const words = ['--from', 'requests', '-v']
  const ran = await place.run(words, { stdin: `${JSON.stringify(request)}\n` })
  t.equal(ran.code, 0)
  t.match(ran.err, /preflight skipped: the token counter does not accept content from a URL/)
})

t.test('too many bad records end an estimate, as they end a run', async t => {
  const place = await placeFor(t)
  const words = ['estimate', '-p', '{{text}}', '--max-invalid', '1', '--batch-wait', '1s']
  const ran = await place.run(words, { stdin: 'text\na\n""\n""\n' })
  t.equal(ran.code, 4)
  t.match(ran.err, /2 of 3 records are invalid, more than --max-invalid allows/)
})

t.test('estimate accepts every flag of run', async t => {
  const place = await placeFor(t)
  for (const { name, arg, negative, maybe, choices } of optionsOf('run')) {
    // A file of flags is read at once.
    if (name === 'config') continue
    const value = arg === undefined || maybe ? [] : [choices?.[0] ?? 'x']
    const words = [`--${negative ? 'no-' : ''}${name}`, ...value]
    t.ok(parseFlags('estimate', 'nothing', words, {}), words.join(' '))
  }
  const words = [
    ...[...ASK, '--job', 'j', '-o', place.path('out.csv'), '--to', 'csv', '--max-cost', '5', '-n'],
    ...['--state-dir', place.state, '--order', 'input', '--dedupe', '--canary', '1', '-c', '3'],
  ]
  const ran = await place.run(['estimate', ...words], { stdin: 'text\na\na\nb\n' })
  t.match(ran, { code: 0, err: '', out: /^3 records, 2 requests in 1 batch, .*1 repeat/ })
  t.notOk(existsSync(place.state) || existsSync(place.path('out.csv')))
  t.match(await place.run(['estimate', ...ASK, '--to', 'xml'], { stdin: csv(1) }), {
    code: 2,
    err: /--to must be one of/,
  })
  t.match(await place.run(['estimate', ...ASK, '--poll', 'soon'], { stdin: csv(1) }), {
    code: 2,
    err: /--poll/,
  })
})

t.test('estimate, --dry-run and --show name the first invalid records', async t => {
  const place = await placeFor(t)
  const good = JSON.stringify({ text: 'a' })
  const stdin = `${[good, '{"b":1}', '{', good, ...Array(9).fill('{"b":1}'), good].join('\n')}\n`
  for (const words of [['estimate'], ['-n'], ['--show', '3']]) {
    const ran = await place.run([...words, ...ASK, '--from', 'jsonl'], { stdin })
    t.equal(ran.code, 3)
    const named = ran.said.filter(line => line.startsWith('not sent: line '))
    t.equal(named.length, 5)
    t.match(named[0], /^not sent: line 2: field "text" of the prompt template is missing/)
    t.match(named[1], /^not sent: line 3: .*JSON/)
    t.match(ran.err, 'not sent: more records; -v names them all\n')
    const all = await place.run([...words, ...ASK, '--from', 'jsonl', '-v'], { stdin })
    t.equal(all.said.filter(line => line.startsWith('not sent: line ')).length, 11)
    t.notMatch(all.err, 'more records')
  }
})
