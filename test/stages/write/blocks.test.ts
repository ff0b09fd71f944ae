import t from 'tap'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { answered, message, said, without } from './made.ts'

const rowOf = jsonlRow({ blocks: true })
const blocksIn = (row: Buffer): unknown => JSON.parse(row.toString())._batch.blocks

void t.test('content that is not text is in the row as the API sent it', async t => {
  const thinking = { type: 'thinking', thinking: 'hm "text"', signature: 'x' }
  const tool = { type: 'tool_use', id: 't', name: 'rate', input: { stars: 1.5, type: 'text' } }
  const text = { type: 'text', text: 'well' }
  const result = answered(message([thinking, text, tool, text]))
  const row = rowOf(result)
  t.same(blocksIn(row), [thinking, tool])
  t.equal(JSON.parse(row.toString()).response, 'wellwell')
  t.match(row.toString(), JSON.stringify(tool))
  t.notMatch(jsonlRow()(result).toString(), 'tool_use')
})

void t.test(
  'without other content than text, or without an answer, rows have no blocks',
  async t => {
    for (const result of [
      said('a'),
      without('rejected'),
      answered({ type: 'expired' }),
      answered({ type: 'succeeded', message: { model: 'm' } }),
    ])
      t.equal(blocksIn(rowOf(result)), undefined)
  },
)

void t.test('a block without a type is not text', async t => {
  t.same(blocksIn(rowOf(answered(message([{ text: 'a' }])))), [{ text: 'a' }])
})
