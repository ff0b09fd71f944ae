import fc from 'fast-check'
import t from 'tap'
import {
  checkShard,
  isInShard,
  isSameShard,
  nameOfShards,
  shardJobName,
  shardRecords,
} from '../../lib/core/shard.ts'

// The same cases in every run.
const EACH = { numRuns: 300, seed: 20261128 }

void t.test('every record is in exactly one of 1 to 64 shards', async t => {
  const positions = fc.integer({ min: 0, max: 2 ** 40 })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 1000 }),
      fc.array(positions, { minLength: 1, maxLength: 50 }),
      (count, block, some) => {
        const shards = Array.from({ length: count }, (_, index) => ({ index, count, block }))
        for (const at of some)
          if (shards.filter(shard => isInShard(shard, at)).length !== 1) return false
        return true
      },
    ),
    EACH,
  )
  t.pass()
})

void t.test('the size of a shard is the number of its records', async t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 4000 }),
      (count, block, total) => {
        for (let index = 0; index < count; index++) {
          const shard = { index, count, block }
          let own = 0
          for (let at = 0; at < total; at++) if (isInShard(shard, at)) own += 1
          if (own !== shardRecords(shard, total)) return false
        }
        return true
      },
    ),
    { ...EACH, numRuns: 40 },
  )
  t.pass()
})

void t.test('shards of the same input differ by at most one block', async t => {
  const counts = Array.from({ length: 7 }, (_, index) =>
    shardRecords({ index, count: 7, block: 100 }, 123_456),
  )
  t.ok(Math.max(...counts) - Math.min(...counts) <= 100)
})

void t.test('a shard out of range is rejected', async t => {
  for (const wrong of [
    { index: -1, count: 2 },
    { index: 2, count: 2 },
    { index: 0, count: 0 },
    { index: 0, count: 100_001 },
    { index: 0.5, count: 2 },
    { index: 0, count: 2, block: 0 },
    { index: '0' as never, count: 2 },
  ])
    t.throws(() => checkShard(wrong), { code: 'CBS_OPTION' }, JSON.stringify(wrong))
  t.same(checkShard({ index: 1, count: 2 }), { index: 1, count: 2, block: 100 })
})

void t.test('shards are equal if all of their numbers are', async t => {
  const shard = { index: 1, count: 2, block: 3 }
  t.ok(isSameShard(shard, { ...shard }))
  for (const other of [
    null,
    { ...shard, index: 0 },
    { ...shard, count: 3 },
    { ...shard, block: 4 },
  ])
    t.notOk(isSameShard(shard, other))
})

void t.test("a shard's job is named after the job and five digits", async t => {
  t.equal(shardJobName('nightly', 2), 'nightly.00002')
  t.equal(shardJobName('nightly', 12345), 'nightly.12345')
  t.equal(nameOfShards('nightly.00002'), 'nightly')
  t.equal(nameOfShards('a.b.00002'), 'a.b')
  for (const other of ['nightly', 'nightly.2', 'nightly.000022', '.00002'])
    t.equal(nameOfShards(other), undefined, other)
})
