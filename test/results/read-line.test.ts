import t from 'tap'
import { readLine } from '../../lib/results/read-line.ts'

void t.test('a line tells its id and its type', async t => {
  t.same(readLine(Buffer.from('{"custom_id":"a","result":{"type":"expired"}}')), {
    customId: 'a',
    type: 'expired',
  })
})

for (const other of [
  '',
  'x',
  'null',
  '1',
  '"a"',
  '[]',
  '{}',
  '{"custom_id":1,"result":{"type":"a"}}',
  '{"custom_id":"a"}',
  '{"custom_id":"a","result":null}',
  '{"custom_id":"a","result":{"type":5}}',
  '{"custom_id":"a","result":{"type":"expired"}',
]) {
  void t.test(`${other || 'nothing'} is no result line`, async t => {
    t.equal(readLine(Buffer.from(other)), undefined)
  })
}
