import t from 'tap'
import { csv, placeFor, until } from './world.ts'

const stdin = '{"n":1}\n{"n":2}\n{"n":3}\n'
const usage = (read: number, written: number) => ({
  input_tokens: 10,
  output_tokens: 1,
  cache_read_input_tokens: read,
  cache_creation_input_tokens: written,
})

void t.test(
  '--cache marks the system prompt, and the summary reports what was read from the cache',
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

void t.test('a run without --cache reports nothing about a cache', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', '{{n}}', '-s', 'Be terse.'], { stdin })
  t.notMatch(ran.err, /cache/)
})

void t.test('--cache without a common prefix is refused, and nothing is sent', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', '{{n}}', '-s', 'About {{n}}', '--cache'], { stdin })
  t.equal(ran.code, 2)
  t.match(ran.err, /`cache` needs a prefix that all requests share/)
  t.same(place.emulator.ledger.batches(), [])
})

const LONG = 'Be terse. '.repeat(500)
const PRIME = ['-p', '{{text}}', '-s', LONG, '--cache', 'prime', '--job', 'j']

void t.test('--cache prime sends one request first, and the others after its answer', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...PRIME, '--batch-size', '4'], { stdin: csv(9) })
  t.equal(ran.code, 0)
  const batches = place.emulator.ledger.batches()
  t.same(
    batches.map(({ requests }) => requests),
    [1, 4, 4],
  )
  t.same(
    ran.rows.map(({ id }) => id),
    Array.from({ length: 9 }, (_, i) => String(i)),
  )
  const written = ran.rows.map(({ _batch }) => _batch?.usage?.['cache_creation_input_tokens'])
  t.ok(Number(written[0]) > 1000)
  t.same(written.slice(1), Array(8).fill(0), 'only the first pays for a write')
  t.match(ran.err, /; 8\d% of the prompt tokens came from the cache/)
})

void t.test('a run that is stopped while priming the cache resumes with priming', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 1 ? 5000 : 20) })
  const { world, ended } = place.start(PRIME, { stdin: csv(5) })
  await until(() => place.emulator.ledger.batches().length === 1)
  await until(() => place.read('state/jobs/j/journal.jsonl').includes('"submitted"'))
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  t.equal(place.emulator.ledger.batches().length, 1)
  const rest = await place.run(['resume', 'j'])
  t.equal(rest.code, 0)
  t.same(
    place.emulator.ledger.batches().map(({ requests }) => requests),
    [1, 4],
  )
})

void t.test('a first answer that fails does not hold back the others', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) =>
      place.emulator.ledger.batches().length === 1 && attempt === 1
        ? { stop_reason: 'refusal' }
        : 'fine',
  })
  const ran = await place.run(PRIME, { stdin: csv(4) })
  t.same(
    ran.rows.map(({ _batch }) => _batch?.status),
    ['refused', 'succeeded', 'succeeded', 'succeeded'],
  )
})

void t.test(
  '--cache accepts only prime as a value, and prime is refused with --detach',
  async t => {
    const place = await placeFor(t)
    const wrong = await place.run(['-p', '{{n}}', '-s', 'x', '--cache=often'], { stdin })
    t.match(wrong, { code: 2, err: /--cache must be prime, or nothing, got "often"/ })
    const detached = await place.run([...PRIME, '--detach'], { stdin: csv(2) })
    t.match(detached, { code: 2, err: /--detach cannot be combined with --cache prime/ })
    for (const [CLAUDE_BATCH_STREAM_CACHE, code, said] of [
      ['1', 0, /no model is known to cache/],
      ['no', 0, /^job /m],
      ['prime', 0, /no model is known to cache/],
    ] as const) {
      const env = { ...place.env, CLAUDE_BATCH_STREAM_CACHE }
      const ran = await place.run(['-p', '{{n}}', '-s', 'Be terse.'], { stdin, env })
      t.match(ran, { code, err: said })
    }
    t.same(
      place.emulator.ledger.batches().map(({ requests }) => requests),
      [3, 3, 1, 2],
    )
  },
)

void t.test(
  'a prefix that the model will not cache is reported before anything is sent',
  async t => {
    const place = await placeFor(t)
    const err = async (model: string, system: string): Promise<string> =>
      (await place.run(['-p', '{{n}}', '-s', system, '--cache', '-m', model, '-n'], { stdin })).err
    t.match(
      await err('claude-haiku-4-5', LONG),
      /--cache: the shared prefix of all requests has about 14\d\d tokens, and claude-haiku-4-5 caches only prefixes of 4096 or more: the prompt cache will not help/,
    )
    t.notMatch(await err('claude-opus-5-5', LONG), /will not help/)
    t.match(await err('claude-haiku-5-5', 'Be terse.'), /no model is known to cache fewer than 512/)
    t.notMatch(await err('claude-haiku-5-5', LONG), /will not help/)
  },
)
