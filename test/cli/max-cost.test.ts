import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { Collected, csv, nextWords, placeFor, rowsOf, until, type Place } from './world.ts'

/** Answers as long as they may be, so that what is spent comes near to the worst case. */
const LONG = { respond: (): string => 'x'.repeat(400) }
const ASK = ['-p', 'Say {{text}}', '-t', '100', '--batch-size', '4', '--job', 'j']
/** Room for some of the batches: an answer costs $0.000025. */
const SOME = ['--max-cost', '0.0004']
const PLENTY = ['--max-cost', '1']

async function spentIn(place: Place): Promise<number> {
  return JSON.parse((await place.run(['status', 'j', '--json'])).out).spent_usd
}

t.test(
  'a run stops below its cap, writes all paid rows and names the command that continues',
  async t => {
    const place = await placeFor(t, LONG)
    const ran = await place.run([...ASK, ...SOME], { stdin: csv(30) })
    t.equal(ran.code, 4)
    t.ok(ran.rows.length >= 8 && ran.rows.length < 30, `${ran.rows.length} rows`)
    t.equal((await place.emulator.ledger.totals()).accepted, ran.rows.length)
    t.ok((await spentIn(place)) <= 0.0004)
    t.match(ran.err, /^job j: spent \$0\.000[23]/m)
    t.match(ran.err, /--max-cost \$0\.000400 is reached: .* Use a higher --max-cost to continue$/m)
    t.match(nextWords(ran).slice(0, 3), ['resume', 'j', '--max-cost'])
    t.match(nextWords(ran)[3], /^0\.000\d{1,2}$/, 'two significant digits')
    const rest = await place.again(ran)
    t.same([rest.code, rest.rows.length], [0, 30], 'the command that continues ends the job')
    t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
    t.equal(JSON.parse((await place.run(['status', 'j', '--json'])).out).reserved_usd, 0)
  },
)

t.test('U01 with a higher cap the job finishes, and every record is sent once', async t => {
  const place = await placeFor(t, LONG)
  const ran = await place.run([...ASK, ...SOME], { stdin: csv(30) })
  t.equal(ran.code, 4)
  const same = await place.run(['resume', 'j'])
  t.equal(same.code, 4, 'the same cap sends nothing more')
  const before = await place.emulator.ledger.totals()
  const rest = await place.run(['resume', 'j', ...PLENTY])
  t.equal(rest.code, 0)
  t.equal(rest.rows.length, 30)
  t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
  t.ok(before.accepted < 30)
})

t.test(
  'answers above their worst case raise that of further batches, and are reported',
  async t => {
    const usage = { input_tokens: 5000, output_tokens: 10 }
    const words = [...ASK, '--max-cost', '0.0005', '-c', '1']
    // The members that are counted.
    const place = await placeFor(t, { respond: () => ({ usage: usage as never }) })
    const ran = await place.run(words, { stdin: csv(30) })
    t.match(ran, {
      code: 4,
      err: /job j has cost more than --max-cost \$0\.000500: .* above their worst case/,
    })
    const { accepted } = await place.emulator.ledger.totals()
    t.ok(accepted < 30, `${accepted} sent`)
    t.equal(ran.rows.length, accepted)
  },
)

t.test('the same command with another cap resumes the same job', async t => {
  const place = await placeFor(t, LONG)
  await place.run([...ASK, ...SOME], { stdin: csv(30) })
  const again = await place.run([...ASK, ...PLENTY], { stdin: csv(30) })
  t.equal(again.code, 0)
  t.match(again.err, /resuming job j/)
  t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
})

t.test('the same command without a cap says that it lifts the one of the job', async t => {
  const place = await placeFor(t, LONG)
  await place.run([...ASK, ...SOME], { stdin: csv(30) })
  const again = await place.run([...ASK, '-q'], { stdin: csv(30) })
  t.equal(again.code, 0)
  t.match(
    again.err,
    /^job j had a cap of \$0\.0004, which this command lifts: it has no --max-cost$/m,
  )
})

t.test('resume remembers the cap of its job', async t => {
  const place = await placeFor(t, LONG)
  await place.run([...ASK, ...SOME], { stdin: csv(30) })
  await place.run(['resume', 'j', '--max-cost', '0.0005'])
  const again = await place.run(['resume', 'j'])
  t.match(again.err, /--max-cost \$0\.000500 is reached/)
})

t.test('an output file contains each row once, over several stopped runs', async t => {
  const place = await placeFor(t, LONG)
  const out = ['-o', place.path('out.jsonl'), '--order', 'input']
  const ran = await place.run([...ASK, ...SOME, ...out], { stdin: csv(30) })
  t.equal(ran.code, 4)
  t.ok(rowsOf(readFileSync(place.path('out.jsonl'), 'utf8')).length >= 8)
  t.equal((await place.run(['resume', 'j', ...PLENTY])).code, 0)
  const ids = rowsOf(readFileSync(place.path('out.jsonl'), 'utf8')).map(row => row['id'])
  t.same(
    ids,
    Array.from({ length: 30 }, (_, i) => String(i)),
  )
})

t.test('a detached run stops at its cap too', async t => {
  const place = await placeFor(t, LONG)
  const ran = await place.run([...ASK, ...SOME, '--detach'], { stdin: csv(30) })
  t.equal(ran.code, 4)
  t.equal(ran.out, 'j\n')
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.ok(shown.reserved_usd > 0 && shown.reserved_usd <= 0.0004)
  t.equal((await place.run(['resume', 'j', ...PLENTY])).rows.length, 30)
})

t.test('the cap also limits retries', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) => (attempt === 1 ? { stop_reason: 'refusal' } : 'fine'),
  })
  await place.run(ASK, { stdin: csv(4) })
  const ran = await place.run(['retry', 'j', '--max-cost', '0.00001'])
  t.equal(ran.code, 4)
  t.equal((await place.emulator.ledger.totals()).accepted, 4)
  t.match(nextWords(ran).slice(0, 3), ['retry', 'j', '--max-cost'])
  const rest = await place.again(ran)
  t.equal(rest.code, 0)
  t.equal(rest.rows.length, 4)
})

t.test(
  'U02 a cap without a known price is refused before anything is sent, unless a price is given',
  async t => {
    const place = await placeFor(t)
    const words = [...ASK, ...PLENTY, '-m', 'claude-mythos-preview']
    const ran = await place.run(words, { stdin: csv(2) })
    t.equal(ran.code, 2)
    t.match(
      ran.err,
      /--max-cost cannot be enforced: price unknown for claude-mythos-preview: give it with --price IN,OUT/,
    )
    t.equal((await place.emulator.ledger.totals()).accepted, 0)
    t.equal((await place.run([...words, '--price', '10,50'], { stdin: csv(2) })).code, 0)
  },
)

t.test('a record whose model has no price stops the run before its batch', async t => {
  const place = await placeFor(t)
  const request = {
    model: 'claude-mythos-preview',
    max_tokens: 9,
    messages: [{ role: 'user', content: 'a' }],
  }
  const words = ['--from', 'requests', '--job', 'j', ...PLENTY]
  const ran = await place.run(words, { stdin: `${JSON.stringify(request)}\n` })
  t.equal(ran.code, 4)
  t.match(
    ran.err,
    /batch 1 cannot be held below --max-cost, so nothing more is sent: price unknown for claude-mythos-preview/,
  )
  t.equal((await place.emulator.ledger.totals()).accepted, 0)
})

t.test('an invalid amount is refused', async t => {
  const place = await placeFor(t)
  for (const text of ['0', '-1', 'much', '1,5', '']) {
    const ran = await place.run([...ASK, `--max-cost=${text}`], { stdin: csv(1) })
    t.equal(ran.code, 2, text)
    t.match(
      ran.err,
      /--max-cost must be an amount in USD above 0 with at most 15 decimals, such as 12.50/,
    )
  }
})

t.test(
  'records beyond the cap are spooled but not prepared, and sent once when the job resumes',
  async t => {
    const place = await placeFor(t, LONG)
    const large = ['-p', 'Say {{text}}', '-t', '100', '--batch-size', '40', '--job', 'j']
    const ran = await place.run([...large, '--max-cost', '0.004', '--retries', '0'], {
      stdin: csv(4000),
    })
    t.equal(ran.code, 4)
    const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
    t.equal(shown.records, 4000)
    // What is in the streams at that moment, some pages of 256 records, is prepared.
    t.ok(shown.batches.length < 70, `${shown.batches.length} of 100 batches were sealed`)
    const rest = await place.run(['resume', 'j', ...PLENTY, '-c', '100'])
    t.equal(rest.code, 0)
    t.equal(rest.rows.length, 4000)
    t.match(await place.emulator.ledger.totals(), { accepted: 4000, acceptedTwice: 0 })
  },
)

/** A terminal whose user types these lines; what it shows is collected. */
function terminalOf(...typed: string[]) {
  const output = new Collected()
  const input = new PassThrough()
  for (const line of typed) input.write(`${line}\n`)
  let closed = 0
  const terminal = async () => ({ input, output, close: () => void closed++ })
  return { terminal, output, input, closed: () => closed }
}

t.test('on a terminal the user is asked for a new cap, and the job stores the answer', async t => {
  const place = await placeFor(t, LONG)
  const { terminal, output, closed } = terminalOf('lots', '0.0001', '$1')
  const ran = await place.run([...ASK, ...SOME], { stdin: csv(30), terminal })
  t.equal(ran.code, 0)
  t.equal(ran.rows.length, 30)
  t.match(
    output.text,
    /^--max-cost \$0\.000400 is reached: .*\nNew cap \(at least \$[\d.]+\), or press Enter to stop: \$/,
  )
  t.equal(
    output.text.split('New cap').length - 1,
    3,
    'what is no amount, or too little, is asked again',
  )
  t.equal(closed(), 1)
  const card = JSON.parse(readFileSync(`${place.state}/jobs/j/job.json`, 'utf8'))
  t.equal(card.settings.run.maxCost, '1')
})

t.test('an empty answer stops at the cap', async t => {
  for (const typed of ['', 'n', 'No']) {
    const place = await placeFor(t, LONG)
    const { terminal } = terminalOf(typed)
    const ran = await place.run([...ASK, ...SOME], { stdin: csv(30), terminal })
    t.equal(ran.code, 4, typed)
    t.match(ran.err, /--max-cost \$0\.000400 is reached/)
  }
  const place = await placeFor(t, LONG)
  const { terminal, input } = terminalOf()
  input.end()
  t.equal((await place.run([...ASK, ...SOME], { stdin: csv(30), terminal })).code, 4, 'Ctrl-D')
})

t.test('with --no-input or -y no question is asked, and the cap stays', async t => {
  for (const flag of ['--no-input', '-y']) {
    const place = await placeFor(t, LONG)
    const { terminal, output } = terminalOf('1')
    const ran = await place.run([...ASK, ...SOME, flag], { stdin: csv(30), terminal })
    t.equal(ran.code, 4, flag)
    t.equal(output.text, '')
  }
})

t.test('if the terminal turns out to be missing, the run stops', async t => {
  const place = await placeFor(t, LONG)
  const terminal = async () => undefined
  t.equal((await place.run([...ASK, ...SOME], { stdin: csv(30), terminal })).code, 4)
})

t.test('Ctrl-C at the question exits as it does anywhere else', async t => {
  const place = await placeFor(t, LONG)
  const { terminal, output, closed } = terminalOf()
  const { world, ended } = place.start([...ASK, ...SOME], { stdin: csv(30), terminal })
  await until(() => output.text.includes('New cap'))
  world.emit('SIGINT', 'SIGINT')
  const ran = await ended
  t.equal(ran.code, 130)
  t.equal(closed(), 1)
  t.match(nextWords(ran).slice(0, 2), ['resume', 'j'])
})
