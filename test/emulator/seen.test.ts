import t from 'tap'
import { hashOfHex, SeenCounts } from '../../lib/emulator/seen.ts'

t.test('each hash is counted separately, even if many share a slot', async t => {
  const seen = new SeenCounts()
  const hashes = [1, 1025, 2049, 2 ** 52, 1024, 1023]
  for (const hash of hashes) t.equal(seen.add(hash), 1)
  for (const hash of hashes) t.equal(seen.add(hash), 2)
  t.ok(seen.has(2049))
  t.notOk(seen.has(3073))
})

t.test('counts survive growth of the table', async t => {
  const seen = new SeenCounts()
  for (let round = 1; round <= 2; round++) {
    for (let i = 1; i <= 5000; i++)
      if (seen.add(i * 7919) !== round) t.fail(`${i} in round ${round}`)
  }
  t.notOk(seen.has(1))
})

t.test('a count stops at 65,535', async t => {
  const seen = new SeenCounts()
  let last = 0
  for (let i = 0; i < 65_540; i++) last = seen.add(5)
  t.equal(last, 65_535)
})

t.test('the hash of a digest is a safe whole number, and never 0', async t => {
  t.equal(hashOfHex('f'.repeat(64)), 2 ** 52 - 1)
  t.equal(hashOfHex('0'.repeat(64)), 1)
})
