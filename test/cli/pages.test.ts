import t from 'tap'
import { lastUserText } from '../../lib/emulator/index.ts'
import { PAGES_SWITCH } from '../../lib/core/pages.ts'
import { placeFor, type Place } from './world.ts'

const TEXTS = [
  '"plain"',
  '"an escape \\n and \\u00e9"',
  '"é and \\"quotes\\""',
  '"x","response":null,"_batch":{"status":"errored"}',
  '5',
  '"refuse"',
  '"cut"',
  '"error"',
  '"medium"',
  '"long"',
]
const INPUT = [
  ...Array.from(
    { length: 300 },
    (_, n) => `{"text":${n % 7 === 0 ? TEXTS[(n / 7) % TEXTS.length] : '"plain"'},"n":${n}}`,
  ),
  '{}',
].join('\n')

/** Answers of every kind, the same in every run. */
async function answering(t: Parameters<typeof placeFor>[0]): Promise<Place> {
  return await placeFor(t, {
    respond: params => {
      const text = lastUserText(params).slice('Say '.length)
      if (text === 'refuse') return { stop_reason: 'refusal' }
      if (text === 'cut') return { stop_reason: 'max_tokens' }
      if (text === 'error') return { error: { type: 'invalid_request_error', message: 'no' } }
      // Lines that are blocks of their own, and those whose rows are made of slices.
      if (text === 'medium') return 'é "quoted"\n'.repeat(900)
      if (text === 'long') return 'é "quoted"\n'.repeat(9000)
      return `answer to ${text}`
    },
  })
}

for (const flags of [
  [],
  ['--to', 'raw'],
  ['--to', 'text'],
  ['--to', 'csv'],
  ['--emit', 'response'],
  ['--blocks'],
  ['--order', 'input'],
  ['--meta-field', 'none'],
  ['--row-cost'],
]) {
  void t.test(`rows are the same with pages and without: ${flags.join(' ')}`, async t => {
    const place = await answering(t)
    const first = await place.run(
      ['-p', 'Say {{text?}}', '--batch-size', '130', '--retries', '0', '--job', 'one', ...flags],
      { stdin: INPUT },
    )
    const again = await place.run(['results', 'one', ...flags])
    Reflect.set(globalThis, PAGES_SWITCH, false)
    t.teardown(() => Reflect.deleteProperty(globalThis, PAGES_SWITCH))
    const single = await place.run(['results', 'one', ...flags])
    t.ok(single.out.length > 1000)
    t.equal(again.out, single.out)
    t.equal(first.out, single.out)
    t.equal(again.err, single.err)
  })
}

void t.test('a meta field with a very long name is written', async t => {
  const place = await answering(t)
  const name = 'm'.repeat(70_000)
  const ran = await place.run(['-p', 'Say {{text}}', '--meta-field', name], {
    stdin: '{"text":"a"}\n{"text":"b"}\n',
  })
  t.equal(ran.code, 0)
  t.match(ran.rows, [
    { text: 'a', response: 'answer to a', [name]: { status: 'succeeded' } },
    { text: 'b', response: 'answer to b', [name]: { status: 'succeeded' } },
  ])
})
