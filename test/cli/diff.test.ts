import { rmSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lastUserText } from '../../lib/emulator/index.ts'
import { Collected, csv, placeFor, type Place } from './world.ts'

const MOOD = ['-p', 'Mood of {{text}}', '--enum', 'good,bad']

/** Answers by the model that is asked, so that two jobs differ where they are meant to. */
async function moods(t: Parameters<typeof placeFor>[0]): Promise<Place> {
  return await placeFor(t, {
    respond: params => {
      const isBad = params['model'] === 'claude-sonnet-5-5' && /[24]$/.test(lastUserText(params))
      return JSON.stringify({ response: isBad ? 'bad' : 'good' })
    },
  })
}

const ask = async (
  place: Place,
  job: string,
  stdin: string,
  more: string[] = [],
): Promise<void> => {
  const ran = await place.run([...MOOD, '--job', job, ...more], { stdin })
  t.equal(ran.code, 0, ran.err)
}

t.test('each changed answer is one line, with the record and both sides', async t => {
  const place = await moods(t)
  await ask(place, 'a', csv(6))
  await ask(place, 'b', csv(6), ['-m', 'claude-sonnet-5-5'])
  const ran = await place.run(['diff', 'a', 'b'])
  t.equal(ran.code, 0)
  const side = (response: string): object => ({
    status: 'succeeded',
    response: { response },
    cost_usd: Number,
  })
  t.match(ran.rows, [
    { record: { id: '2', text: 'text 2' }, a: side('good'), b: side('bad') },
    { record: { id: '4', text: 'text 4' }, a: side('good'), b: side('bad') },
  ])
  t.equal(ran.rows.length, 2)
  t.match(ran.err, /6 records in both jobs: 4 same, 2 changed; 0 only in a, 0 only in b/)
  t.match(ran.err, /agreement: 66\.7 %/)
  t.match(ran.err, / {2}good -> bad: 2/)
  t.match(ran.err, /a: \$[\d.]+ \(claude-haiku-5-5\)/)
  t.match(ran.err, /b: \$[\d.]+ \(claude-sonnet-5-5\)/)
  t.equal((await place.run(['diff', 'b', 'a'])).rows.length, 2)
})

t.test('on a terminal the output is a table, unless --to chooses a format', async t => {
  const place = await moods(t)
  await ask(place, 'a', csv(6))
  await ask(place, 'b', csv(6), ['-m', 'claude-sonnet-5-5'])
  const terminal = (): Collected => Object.assign(new Collected(), { isTTY: true })
  const shown = await place.run(['diff', 'a', 'b'], { stdout: terminal() })
  t.match(shown.out, /^RECORD +a +b\n\{"id":"2","text":"text 2"\} +good +bad\n/)
  t.match(shown.out, /\n6 records in both jobs: 4 same, 2 changed;/)
  const table = await place.run(['diff', 'a', 'b', '--to', 'table'])
  t.equal(table.out, shown.out)
  const lines = await place.run(['diff', 'a', 'b', '--to', 'jsonl'], { stdout: terminal() })
  t.match(lines.out, /^\{"record":\{"id":"2"/)
  t.match(await place.run(['diff', 'a', 'b', '--to', 'csv']), { code: 2 })
})

t.test('jobs with different inputs are matched by their records, in any order', async t => {
  const place = await moods(t)
  await ask(place, 'a', 'id,text\n1,x 1\n2,x 2\n2,x 2\n3,x 3\n4,x 4\n')
  await ask(place, 'b', 'id,text\n4,x 4\n3,x 3\n9,x 9\n2,x 2\n', ['-m', 'claude-sonnet-5-5'])
  const ran = await place.run(['diff', 'a', 'b'])
  t.same(
    ran.rows.map(({ record }) => (record as { id: string }).id),
    ['2', '4'],
  )
  t.match(ran.err, /3 records in both jobs: 1 same, 2 changed; 2 only in a, 1 only in b/)
})

t.test('failures are compared by status, and long answers by their text', async t => {
  let isLong = false
  const place = await placeFor(t, {
    respond: params => {
      if (!isLong) return undefined
      return lastUserText(params).endsWith('1') ? { stop_reason: 'refusal' } : 'x'.repeat(100)
    },
  })
  await place.run(['-p', '{{text}}', '--job', 'a'], { stdin: csv(3) })
  isLong = true
  await place.run(['-p', '{{text}}', '--job', 'b', '--fresh'], { stdin: csv(3) })
  const ran = await place.run(['diff', 'a', 'b'])
  t.match(ran.rows, [
    { b: { status: 'succeeded', response: 'x'.repeat(100) } },
    { b: { status: 'refused' } },
    { a: { status: 'succeeded' } },
  ])
  t.match(ran.err, /0 same, 3 changed/)
  t.notMatch(ran.err, '->')
  const table = await place.run(['diff', 'a', 'b', '--to', 'table'])
  t.match(table.out, /x{31}…\n/)
  t.match(table.out, /\(refused\)/)
})

t.test('changes beyond the length of the table are counted', async t => {
  const place = await moods(t)
  const many = `id,text\n${Array.from({ length: 30 }, (_, at) => `${at},n${at} 2\n`).join('')}`
  await ask(place, 'a', many)
  await ask(place, 'b', many, ['-m', 'claude-sonnet-5-5'])
  const ran = await place.run(['diff', 'a', 'b', '--to', 'table'])
  t.equal(ran.out.split('\n').filter(line => line.startsWith('{')).length, 20)
  t.match(ran.out, /30 changed, of which a table shows 20 \(--to jsonl: all\)/)
})

t.test('answers that are not a single text are compared as JSON', async t => {
  const place = await placeFor(t, {
    respond: params => {
      const isFirst = params['model'] === 'claude-haiku-5-5'
      if (lastUserText(params).startsWith('Count')) return isFirst ? '7' : '8'
      return JSON.stringify({ mood: 'good', stars: isFirst ? 4 : 5 })
    },
  })
  const compare = async (prompt: string, schema: object): Promise<string> => {
    for (const [job, model] of [
      ['a', 'claude-haiku-5-5'],
      ['b', 'claude-sonnet-5-5'],
    ] as const) {
      const words = ['-p', prompt, '--schema', JSON.stringify(schema), '-m', model, '--fresh']
      const ran = await place.run([...words, '--job', job], { stdin: csv(2) })
      t.equal(ran.code, 0, ran.err)
    }
    return (await place.run(['diff', 'a', 'b'])).err
  }
  const properties = { mood: { type: 'string' }, stars: { type: 'integer' } }
  t.match(
    await compare('Rate {{text}}', { type: 'object', properties }),
    '{"mood":"good","stars":4} -> {"mood":"good","stars":5}: 2',
  )
  t.match(await compare('Count {{text}}', { type: 'integer' }), / {2}7 -> 8: 2/)
})

t.test('pairs of answers are counted while there are few', async t => {
  const place = await placeFor(t, {
    respond: params => `${lastUserText(params)} ${params['model'] === 'claude-opus-5' ? 1 : 2}`,
  })
  for (const [job, ...more] of [['a'], ['b', '-m', 'claude-opus-5']] as const)
    await place.run(['-p', '{{text}}', '--job', job, ...more], { stdin: csv(101) })
  const ran = await place.run(['diff', 'a', 'b'])
  t.match(ran.err, /101 records in both jobs: 0 same, 101 changed/)
  t.notMatch(ran.err, '->')
})

t.test('the cost and model of a job are shown where they are known', async t => {
  const place = await placeFor(t, {
    respond: params => (lastUserText(params) === 'b' ? { model: 'claude-unpriced-1' } : undefined),
  })
  for (const job of ['a', 'b']) {
    const messages = [{ role: 'user', content: job }]
    const params = { model: 'claude-haiku-5-5', max_tokens: 9, messages }
    const stdin = `${JSON.stringify({ custom_id: 'r1', params })}\n`
    const ran = await place.run(['--from', 'requests', '--job', job], { stdin })
    t.equal(ran.code, 0, ran.err)
  }
  const { err } = await place.run(['diff', 'a', 'b'])
  t.match(err, /^a: \$[\d.]+$/m)
  t.match(err, /^b: cost unknown$/m)
})

t.test('reused answers cost nothing', async t => {
  const place = await moods(t)
  await ask(place, 'a', csv(3))
  await ask(place, 'b', csv(3), ['--reuse', 'a'])
  const ran = await place.run(['diff', 'a', 'b'])
  t.match(ran, { out: '', err: /3 same, 0 changed/ })
  t.match(ran.err, /b: \$0\.00/)
})

t.test('what cannot be compared is reported', async t => {
  const place = await moods(t)
  await ask(place, 'night', csv(2))
  await ask(place, 'day', csv(2))
  for (const [words, code, say] of [
    [['diff', 'night'], 2, /diff takes two names, got night/],
    [['diff', 'night', 'day', 'x'], 2, /diff takes two names/],
    [['diff', 'night', 'night'], 2, /diff compares two jobs, got night twice/],
    [['diff', 'nigth', 'day'], 2, /there is no job nigth .*"night"/],
  ] as const)
    t.match(await place.run(words), { code, out: '', err: say }, words.join(' '))
  const folder = join(place.state, 'jobs/day')
  renameSync(join(folder, 'journal.jsonl'), join(folder, 'ledger.jsonl'))
  t.match(await place.run(['diff', 'night', 'day']), { code: 2, err: /day is in a ledger/ })
  rmSync(join(folder, 'ledger.jsonl'))
  t.not((await place.run(['diff', 'night', 'day'])).code, 0)
})

t.test('an unfinished job is named, since its records look missing', async t => {
  let batches = 0
  const place = await placeFor(t, { batchTimeMs: () => (batches++ === 0 ? 1 : 3_600_000) })
  await place.run([...MOOD, '--job', 'a'], { stdin: csv(3) })
  await place.run([...MOOD, '--job', 'b', '--fresh', '--detach'], { stdin: csv(3) })
  const ran = await place.run(['diff', 'a', 'b'])
  t.match(ran.err, /3 only in a, 0 only in b\n/)
  t.match(ran.err, /job b is not finished: its records without an answer are not compared\n/)
  t.notMatch(ran.err, /job a is not finished/)
})
