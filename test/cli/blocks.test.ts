import t from 'tap'
import { csv, placeFor } from './world.ts'

const TOOL = { type: 'tool_use', id: 'toolu_1', name: 'rate', input: { stars: 4 } }

t.test('--blocks keeps tool calls in the row, and the job remembers the flag', async t => {
  const place = await placeFor(t, {
    // The emulator fills in what is left out.
    respond: () => ({ content: [TOOL as never], stop_reason: 'tool_use' }),
  })
  const ran = await place.run(['-p', '{{text}}', '--blocks', '--job', 'j'], { stdin: csv(1) })
  t.match(ran.rows, [{ response: null, _batch: { status: 'succeeded', blocks: [TOOL] } }])
  t.equal((await place.run(['results', 'j'])).out, ran.out)
  t.notMatch((await place.run(['results', 'j', '--to', 'csv'])).out, /stars/)
  const wrong = await place.run(['results', 'j', '--to', 'csv', '--blocks'])
  t.match(wrong, { code: 2, err: /--blocks is written to the meta field/ })
})
