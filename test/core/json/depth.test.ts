import t from 'tap'
import { deeperThan, mayNestDeeper } from '../../../lib/core/json/depth.ts'

t.test('levels count objects and arrays', async t => {
  t.equal(deeperThan(1, 0), false)
  t.equal(deeperThan(null, 0), false)
  t.equal(deeperThan({}, 0), true)
  t.equal(deeperThan({ a: [1] }, 2), false)
  t.equal(deeperThan({ a: [1], b: [{}] }, 2), true)
})

t.test('a hundred thousand levels cause no overflow', async t => {
  const json = '['.repeat(100_000) + ']'.repeat(100_000)
  t.equal(deeperThan(JSON.parse(json), 99_999), true)
  t.equal(deeperThan(JSON.parse(json), 100_000), false)
})

t.test('a text has at least as many brackets as levels', async t => {
  t.equal(mayNestDeeper('{"a":[1,{}]}', 2), true)
  t.equal(mayNestDeeper('{"a":[1,{}]}', 3), false)
  t.equal(mayNestDeeper('[[[]]]', 2), true)
  t.equal(mayNestDeeper('["[[["]', 2), true, 'it may be wrong on this side')
  t.equal(mayNestDeeper('1', 0), false)
})
