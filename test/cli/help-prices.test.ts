import t from 'tap'
import { listPrice } from '../../lib/cost/price.ts'
import { PRICES } from '../../lib/cost/prices.ts'
import { run } from './world.ts'

t.test(
  'help prices shows every known price, its date and source, and the batch discount',
  async t => {
    const { code, out } = await run(['help', 'prices'])
    t.equal(code, 0)
    for (const [model, { input, output, read, date }] of Object.entries(PRICES)) {
      const line = out.split('\n').find(text => text.startsWith(`${model} `)) ?? ''
      t.same(line.split(/ +/).slice(1, 3), [input, output], model)
      t.ok(line.includes(` ${read} `) && line.includes(date), model)
      t.ok(listPrice(model))
    }
    t.match(out, /^ {2}prompts above 100000 tokens +0\.50 +2\.50 +0\.625 +1\.00 +0\.05 /m)
    t.match(out, /a batch is billed at half/)
  },
)

t.test('the columns are aligned', async t => {
  const { out } = await run(['help', 'prices'])
  const table = out.split('\n').slice(2, 3 + Object.keys(PRICES).length)
  const ends = table.map(text => /^.{30}(.{55}) {2}\S/.exec(text)?.[1]?.length)
  t.same(new Set(ends), new Set([55]))
})
