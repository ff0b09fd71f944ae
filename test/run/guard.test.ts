import t from 'tap'
import { InvalidCounter } from '../../lib/run/guard.ts'
import { SourceRecord } from '../../lib/core/flow.ts'

const record = new SourceRecord(Buffer.from('{}'), { line: 3, source: 'a.csv' })
const bad = { record, problem: { type: 'bad', message: 'it is bad' } }

/** The verdict of a counter at the end, after this many invalid records out of this many. */
function atEnd(
  maxInvalid: { count: number } | { share: number },
  { of, wrong, before }: { of: number; wrong: number; before?: number },
): string | undefined {
  const counter = new InvalidCounter(maxInvalid, before)
  for (let at = 0; at < of; at++) counter.add(at < wrong ? bad : undefined)
  return counter.end()?.message.replace(/ are invalid.*/, '')
}

void t.test('a share refers to all records of the job, exactly', async t => {
  t.equal(atEnd({ share: 0.29 }, { of: 100, wrong: 29 }), undefined)
  t.equal(atEnd({ share: 0.29 }, { of: 100, wrong: 30 }), '30 of 100 records')
  t.equal(atEnd({ share: 0.2 }, { of: 2, wrong: 1, before: 8 }), undefined)
  t.equal(atEnd({ share: 0.2 }, { of: 2, wrong: 1 }), '1 of 2 records')
  t.equal(atEnd({ share: 0 }, { of: 2, wrong: 0 }), undefined)
  t.equal(atEnd({ share: 0 }, { of: 0, wrong: 0 }), undefined)
})

void t.test('a count is checked with each record, a share from a thousand records on', async t => {
  const counted = new InvalidCounter({ count: 1 })
  t.equal(counted.add(bad), undefined)
  t.match(counted.add(bad), {
    code: 'CBS_STOPPED',
    message:
      '2 of 2 records are invalid, more than `maxInvalid` allows; the last one (a.csv): line 3: it is bad',
  })
  const shared = new InvalidCounter({ share: 0.5 }, 998)
  t.equal(shared.add(bad), undefined)
  t.equal(shared.add(bad), undefined, '2 of 1000 are few')
  const all = new InvalidCounter({ share: 0.5 })
  for (let at = 1; at < 1000; at++) all.add(bad)
  t.match(all.add(bad), { message: /^1000 of 1000 records/ })
})
