import { BatchIds } from '../../lib/store/results/batch-ids.ts'
import { rowsOf } from '../../lib/store/results/rows.ts'
import { asks, clientOf, makeWorld, run } from '../support/world.ts'
import { Readable } from 'node:stream'
import t from 'tap'
import { each, from } from '../../lib/core/chain.ts'
import { counted } from '../../lib/cost/count.ts'
import { CostLedger } from '../../lib/cost/ledger.ts'
import { ResultPage } from '../../lib/core/results/result-page.ts'
import { listPrice } from '../../lib/cost/price.ts'
import type { Result } from '../../lib/core/results/result.ts'

t.test('every answer is added to the ledger and passed on unchanged', async t => {
  const ledger = new CostLedger(listPrice)
  // The ledger reads nothing else of a result.
  const answers = [1, 2, 3].map(
    n =>
      ({
        usage: { input_tokens: 1, output_tokens: n },
        model: 'claude-haiku-4-5',
      }) as unknown as Result,
  )
  const seen: Result[] = []
  for await (const result of each(from(Readable.from(answers), counted(ledger)))) seen.push(result)
  t.same(seen, answers)
  t.equal(ledger.tokens.output, 6)
  t.equal(ledger.spent, 3n * 500_000_000n + 6n * 2_500_000_000n)
})

/** Values of a count, most of them invalid. */
const COUNTS = ['7', '0', '"7"', 'null', '-1', '1.5', '1e2', '1e999', '9007199254740993', '[]']

/** Usages of all kinds; every answer has one of them. */
function usageOf(at: number): string {
  const count = (step: number): string => COUNTS[Math.floor(at / step) % COUNTS.length] ?? ''
  const usage = [
    `{"input_tokens":${count(1)},"output_tokens":${count(10)}}`,
    `{"output_tokens":4,"input_tokens":${count(1)},"cache_creation":{"ephemeral_1h_input_tokens":${count(10)}}}`,
    `{"input_tokens":3,"output_tokens":5,"cache_read_input_tokens":${count(1)},"server_tool_use":{"web_search_requests":${count(10)}}}`,
    `{"input_tokens":3,"input_tokens":${count(1)},"output_tokens":5,"output_\\u0074okens":${count(10)}}`,
    count(1),
  ]
  return usage[Math.floor(at / 100) % usage.length] ?? ''
}

t.test('pages and single results are billed in the same way, whatever their usage', async t => {
  const world = await makeWorld(t)
  const { emulator } = world
  let line = 0
  const fetch: typeof emulator.fetch = async (input, init) => {
    const response = await emulator.fetch(input, init)
    if (!String(input).endsWith('/results')) return response
    const usage = (): string => `"usage":${usageOf(line++)}`
    return new Response(
      (await response.text()).replaceAll(/"usage":\{(?:[^{}]|\{[^}]*\})*\}/g, usage),
    )
  }
  const client = clientOf({ ...emulator, url: emulator.url, fetch })
  const job = await world.open()
  await run({ ...world, client }, job, asks(500))
  let plain = 0
  const kinds = new Set<string>()
  for await (const rows of rowsOf(job.endedBatch(1), await BatchIds.of(job, 1))) {
    if (!(rows instanceof ResultPage)) continue
    for (let index = 0; index < rows.count; index++) {
      if (rows.isPlain(index)) plain += 1
      const [page, single] = [new CostLedger(listPrice), new CostLedger(listPrice)]
      page.add(rows.counted(index))
      const { usage, model, isBilled, status } = rows.item(index)
      single.add({ usage, model, isBilled, status })
      t.equal(page.spent, single.spent, JSON.stringify(usage))
      t.same(page.tokens, single.tokens)
      kinds.add(typeof page.spent)
    }
  }
  t.ok(plain > 300, `${plain} plain results`)
  t.same([...kinds].sort(), ['bigint', 'undefined'])
})
