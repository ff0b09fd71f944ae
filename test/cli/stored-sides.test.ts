import t from 'tap'
import { StoredSides } from '../../lib/cli/stored-sides.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import { watched } from '../support/jobs.ts'

const sideOf = (response: string): { status: 'succeeded'; response: string; cost_usd: null } => ({
  status: 'succeeded',
  response,
  cost_usd: null,
})
const rawOf = (ordinal: number): Buffer => Buffer.from(`{"id":${ordinal}}`)

t.test('many sides, long ones and gaps are read back', async t => {
  const sides = await StoredSides.create(nodeDisk, t.testdir())
  const count = 12_000
  for (let ordinal = 0; ordinal < count; ordinal++) {
    if (ordinal === 7 || ordinal === 8) continue
    await sides.add(ordinal, rawOf(ordinal), sideOf(ordinal % 100 === 0 ? 'x'.repeat(9_000) : 'a'))
  }
  await sides.flush()
  t.equal(await sides.take(7, rawOf(7)), undefined)
  t.match(await sides.take(100, rawOf(100)), { response: 'x'.repeat(9_000) })
  t.equal(await sides.take(100, rawOf(100)), undefined, 'each is taken once')
  t.match(await sides.take(3, rawOf(11_999)), { response: 'a' }, 'also at another place')
  t.equal(sides.left, count - 4)
  await sides.close()
})

t.test('a disk without synchronous reads gives the same result', async t => {
  const disk = watched(() => {})
  const sides = await StoredSides.create(disk, t.testdir())
  await sides.add(0, rawOf(0), sideOf('a'))
  await sides.flush()
  t.match(await sides.take(0, rawOf(0)), { response: 'a' })
  await sides.close()
})
