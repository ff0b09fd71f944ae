import t from 'tap'
import { BatchIds } from '../../lib/results/batch-ids.ts'
import { rowsOf } from '../../lib/results/rows.ts'
import { asks, makeWorld, run } from '../support/world.ts'

const LONG = 400_000

void t.test('short rows are handed over many at a time, long ones few, in input order', async t => {
  const world = await makeWorld(t, {
    respond: ({ messages }) => {
      const [, number = ''] = String(messages[0]?.content).split(' ')
      return number.length === 3 ? 'x'.repeat(LONG) : 'short'
    },
  })
  const job = await world.open()
  await run(world, job, asks(110))
  const blocks: number[][] = []
  const ids = await BatchIds.of(job, 1)
  for await (const rows of rowsOf(job.endedBatch(1), ids))
    blocks.push(rows.map(({ record }) => record?.ordinal ?? -1))
  t.same(
    blocks.flat(),
    Array.from({ length: 110 }, (_, i) => i),
  )
  // The last ten have numbers of three digits.
  t.same(
    blocks.map(block => block.length),
    [64, 37, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    'one long row ends a block',
  )
})
