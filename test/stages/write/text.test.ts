import t from 'tap'
import { from } from '../../../lib/core/chain.ts'
import { writeText } from '../../../lib/stages/write/text.ts'
import { answered, said, without } from './made.ts'

t.test('each response ends with a newline, and a row without one is an empty line', async t => {
  const chunks: string[] = []
  const results = [
    said('one'),
    without('rejected'),
    said('two\nlines'),
    answered({ type: 'expired' }),
    said(''),
  ]
  for await (const chunk of from(results, writeText())) chunks.push(String(chunk))
  t.equal(chunks.join(''), 'one\n\ntwo\nlines\n\n\n')
})
