import { readFileSync } from 'node:fs'
import t from 'tap'
import { parseUsd } from '../../lib/cost/usd.ts'
import { lyingApi } from '../support/lying-api.ts'
import { csv, placeFor, type Place } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--row-cost']

/** The costs that rows say, each as its digits stand there. */
function costsIn(jsonl: string): (bigint | undefined)[] {
  return [...jsonl.matchAll(/"cost_usd":([^,}]+)/g)].map(([, text = '']) => parseUsd(text))
}

async function spentIn(place: Place): Promise<number> {
  return JSON.parse((await place.run(['status', 'j', '--json'])).out).spent_usd
}

t.test('the costs of the rows add up exactly to what the job spent', async t => {
  // Usages of all classes, of any size.
  let seed = 7
  const random = (most: number): number =>
    (seed = (seed * 48_271) % 2_147_483_647) % Math.round(most)
  const place = await placeFor(t, {
    respond: () => ({
      usage: {
        input_tokens: random(200_000),
        output_tokens: random(5000),
        cache_read_input_tokens: random(90_000),
        cache_creation_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 13, ephemeral_1h_input_tokens: 17 },
        // The type has more members than the emulator asks for.
      } as never,
    }),
  })
  const ran = await place.run([...ASK, '--job', 'j'], { stdin: csv(200) })
  const costs = costsIn(ran.out)
  t.equal(costs.length, 200)
  const sum = costs.reduce<bigint>((all, cost) => all + (cost ?? 0n), 0n)
  t.equal(Number(`${sum}e-15`), await spentIn(place))
  t.ok(new Set(costs).size > 150)
  for (const row of ran.rows) t.type((row._batch as { cost_usd?: unknown }).cost_usd, 'number')
})

t.test('a row that was not billed costs 0, and without a price the cost is unknown', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no' } }),
  })
  const failed = await place.run(ASK, { stdin: csv(1) })
  t.same(costsIn(failed.out), [0n])
  const fine = await placeFor(t)
  const unpriced = await fine.run([...ASK, '-m', 'claude-mythos-preview', '--job', 'j'], {
    stdin: csv(1),
  })
  t.match(unpriced.out, /"cost_usd":null/)
  const priced = await fine.run(['resume', 'j', '--price', '10,50'])
  t.match(priced.out, /"cost_usd":0\.\d+/)
})

t.test('a job remembers --row-cost; the file of failed rows has costs too', async t => {
  const place = await placeFor(t, {
    respond: params =>
      JSON.stringify(params).includes('text 1') ? { stop_reason: 'refusal' } : 'ok',
  })
  await place.run([...ASK, '--job', 'j', '--errors', place.path('bad.jsonl')], { stdin: csv(2) })
  t.match(readFileSync(place.path('bad.jsonl'), 'utf8'), /"cost_usd":0\.\d+/)
  t.match((await place.run(['results', 'j'])).out, /"cost_usd":0\.\d+/)
  t.notMatch((await place.run(['results', 'j', '--to', 'csv'])).out, 'cost_usd')
})

t.test('rows have a cost only with --row-cost, and only in formats that support it', async t => {
  const place = await placeFor(t)
  const plain = await place.run(['-p', '{{text}}', '--job', 'j'], { stdin: csv(1) })
  t.notMatch(plain.out, 'cost_usd')
  t.match((await place.run(['results', 'j', '--row-cost'])).out, 'cost_usd')
  for (const more of [
    ['--to', 'csv'],
    ['--emit', 'response'],
    ['--meta-field', 'none'],
  ]) {
    const ran = await place.run([...ASK, ...more], { stdin: csv(1) })
    t.equal(ran.code, 2)
    t.match(ran.err, /--row-cost is written to the meta field/)
  }
})

t.test('the cost of an answer without token counts is unknown in rows and totals', async t => {
  const place = await placeFor(t)
  const change = (path: string, body: string): string =>
    path.endsWith('/results') ? body.replace('"output_tokens":', '"output":') : body
  const url = await lyingApi(t, place.emulator.url, { change })
  const ran = await place.run([...ASK, '--job', 'j', '--base-url', url], { stdin: csv(2) })
  t.equal(ran.code, 0)
  const costs = ran.rows.map(row => (row._batch as { cost_usd?: unknown }).cost_usd)
  t.equal(costs.filter(cost => cost === null).length, 1)
  t.equal(costs.filter(cost => typeof cost === 'number').length, 1)
  t.match(ran.err, /^job j: cost unknown: 1 answer has no valid token counts$/m)
  t.equal(await spentIn(place), null)
})
