import t from 'tap'
import { csv, placeFor } from './world.ts'

const ASK = ['-p', 'Say {{text}}']

t.test('a run ends with its cost, and status reports the same', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--job', 'j'], { stdin: csv(3) })
  const [, spent, synchronous] =
    /^job j: spent \$([\d.]+) \(synchronous calls: \$([\d.]+)\); estimate was \$[\d.]+$/m.exec(
      ran.err,
    ) ?? []
  t.equal(Number(synchronous), Number(spent) * 2, 'a batch is half the price')
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.equal(Math.ceil(shown.spent_usd * 1e8), Math.ceil(Number(spent) * 1e8))
  t.equal(shown.reserved_usd, null)
  t.ok(shown.estimate_usd > 0)
  t.match(shown.tokens, { cache_write_5m: 0, cache_write_1h: 0, cache_read: 0 })
})

t.test('a model without a price is reported, and --price sets one', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '-m', 'claude-mythos-preview', '--job', 'j']
  const ran = await place.run(words, { stdin: csv(2) })
  t.equal(ran.code, 0)
  t.match(ran.err, /^job j: price unknown for claude-mythos-preview: give it with --price IN,OUT$/m)
  const unknown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.match(unknown, { spent_usd: null, estimate_usd: null })
  const given = JSON.parse((await place.run(['status', 'j', '--json', '--price', '10,50'])).out)
  t.ok(given.spent_usd > 0 && given.estimate_usd > 0)
})

t.test('a job remembers its price until another is given', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '-m', 'claude-mythos-preview', '--job', 'j', '--price', '10,50']
  const ran = await place.run(words, { stdin: csv(2) })
  t.match(ran.err, /^job j: spent \$/m)
  const spent = async (...more: string[]): Promise<number> =>
    JSON.parse((await place.run(['status', 'j', '--json', ...more])).out).spent_usd
  t.equal(await spent('--price', '20,100'), 2 * (await spent()))
  const again = await place.run(['resume', 'j', '--price', '1000,5000'])
  t.match(again.err, /^job j: spent \$0\.\d/m)
  t.equal(await spent(), await spent('--price', '1000,5000'), 'resume has changed it')
})

t.test('a retried row counts with every billed attempt', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) => (attempt === 1 ? { stop_reason: 'refusal' } : 'fine'),
  })
  await place.run([...ASK, '--job', 'j'], { stdin: csv(2) })
  const before = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  const ran = await place.run(['retry', 'j', '--price', '0.10,0.50'])
  t.match(ran.err, /^job j: spent \$/m)
  const after = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.ok(after.spent_usd > before.spent_usd)
  t.equal(after.tokens.input, 2 * before.tokens.input)
})

t.test('a job of ready requests has no estimate, since each may use another model', async t => {
  const place = await placeFor(t)
  const request = {
    model: 'claude-haiku-5-5',
    max_tokens: 9,
    messages: [{ role: 'user', content: 'a' }],
  }
  const ran = await place.run(['--from', 'requests', '--job', 'j'], {
    stdin: `${JSON.stringify(request)}\n`,
  })
  t.match(ran.err, /^job j: spent \$[\d.]+ \(synchronous calls: \$[\d.]+\)$/m)
  t.equal(JSON.parse((await place.run(['status', 'j', '--json'])).out).estimate_usd, null)
})

t.test('an emulated run reports no dollars, since nothing is billed', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--emulate', '--batch-time', '10ms'], { stdin: csv(1) })
  t.notMatch(ran.err, /\$/)
})

t.test('an invalid price is refused before anything is read', async t => {
  const place = await placeFor(t)
  for (const command of ['run', 'resume', 'status']) {
    const ran = await place.run([command, '--price', 'cheap'])
    t.equal(ran.code, 2)
    t.match(
      ran.err,
      command === 'run' ? /--price IN,OUT must be two/ : /--price IN,OUT must be two|no job/,
    )
  }
})

t.test('status of a damaged job reports no dollars', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'j'], { stdin: csv(1) })
  const { writeFileSync } = await import('node:fs')
  writeFileSync(`${place.state}/jobs/j/journal.jsonl`, 'nonsense\n')
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.match(shown, { state: 'damaged', reserved_usd: null, estimate_usd: null })
})

t.test('a dry run reports the expected and the maximum cost, and opens no socket', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--dry-run'], { stdin: csv(100) })
  const [, input, output, expected, worst, synchronous] =
    /^estimate: about (\d+) input and (\d+) output tokens: \$([\d.]+) expected, at least \$[\d.]+, at worst \$([\d.]+) \(synchronous calls: \$([\d.]+)\)$/m
      .exec(ran.err)
      ?.map(Number) ?? []
  t.equal(output, 10_000)
  t.ok((input ?? 0) > 100 && (expected ?? 0) > 0 && (worst ?? 0) > (expected ?? 0))
  t.ok(Math.abs((synchronous ?? 0) - 2 * (expected ?? 0)) < 0.0001)
  t.same(place.emulator.ledger.calls(), [])
  const none = await place.run([...ASK, '--dry-run', '-m', 'claude-mythos-preview'], {
    stdin: csv(2),
  })
  t.match(
    none.err,
    /^estimate: about .*: price unknown for claude-mythos-preview: give it with --price IN,OUT$/m,
  )
})

t.test('a dry run expects the same cost that the run then reports', async t => {
  const place = await placeFor(t)
  const dry = await place.run([...ASK, '--dry-run'], { stdin: csv(500) })
  const ran = await place.run([...ASK, '--job', 'j'], { stdin: csv(500) })
  const expected = Number(/\$([\d.]+) expected/.exec(dry.err)?.[1])
  const was = Number(/estimate was \$([\d.]+)/.exec(ran.err)?.[1])
  t.ok(Math.abs(was / expected - 1) < 0.02, `${expected} and ${was}`)
})
