import t from 'tap'
import { placeFor } from './world.ts'

const stdin = '{"n":1}\n{"n":2}\n{"n":3}\n'
const usage = (read: number, written: number) => ({
  input_tokens: 10,
  output_tokens: 1,
  cache_read_input_tokens: read,
  cache_creation_input_tokens: written,
})

void t.test(
  '--cache marks the system prompt, and the summary tells what came from the cache',
  async t => {
    const seen: unknown[] = []
    const place = await placeFor(t, {
      respond: params => {
        seen.push(params.system)
        // The emulator fills in what is left out.
        return { usage: usage(seen.length > 1 ? 90 : 0, seen.length > 1 ? 0 : 90) as never }
      },
    })
    const ran = await place.run(['-p', '{{n}}', '-s', 'Be terse.', '--cache'], { stdin })
    t.equal(ran.code, 0)
    const mark = { type: 'ephemeral', ttl: '1h' }
    t.same(seen, Array(3).fill([{ type: 'text', text: 'Be terse.', cache_control: mark }]))
    t.match(ran.err, /; 60% of the prompt tokens came from the cache \(180 read, 90 written\)/)
  },
)

void t.test('a run without it says nothing of a cache', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', '{{n}}', '-s', 'Be terse.'], { stdin })
  t.notMatch(ran.err, /cache/)
})

void t.test('--cache without anything that rows share is refused, and nothing is sent', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', '{{n}}', '-s', 'About {{n}}', '--cache'], { stdin })
  t.equal(ran.code, 2)
  t.match(ran.err, /`cache` needs a beginning that all requests share/)
  t.same(place.emulator.ledger.batches(), [])
})
