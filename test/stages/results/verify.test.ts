import t from 'tap'
import type { Ids } from '../../../lib/store/results/ids.ts'
import { Verifier } from '../../../lib/stages/results/verify.ts'
import { AppendFile } from '../../../lib/store/append-file.ts'
import {
  indexBytes,
  indexIn,
  LENGTH,
  NUMBERS,
  OFFSET,
} from '../../../lib/store/results/line-index.ts'
import { ResultFile } from '../../../lib/store/results/result-file.ts'

const IDS = ['a', 'b', 'c']
const ids: Ids = { position: id => IDS.indexOf(id), idAt: at => IDS[at], ordinalAt: at => at }
const none = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 }

const line = (id: string, type = 'succeeded'): string =>
  JSON.stringify({ custom_id: id, result: { type } })

const NOWHERE = { write: async () => {}, sync: async () => {}, close: async () => {} }

function resultFile(): ResultFile {
  return new ResultFile(new AppendFile(NOWHERE, 0), 3)
}

function verify(
  lines: readonly string[],
  counts: Partial<typeof none>,
  of: Ids = ids,
): { verifier: Verifier; file: ResultFile; verdict: object } {
  const file = resultFile()
  const verifier = new Verifier(of, 3, { ...none, ...counts }, file)
  let start = 0
  for (const text of lines) {
    verifier.take({ start, bytes: Buffer.from(text) })
    start += Buffer.byteLength(text) + 1
  }
  return { verifier, file, verdict: verifier.end() }
}

const cases: readonly [string, string[], Partial<typeof none>, object][] = [
  [
    'all lines in any order',
    [line('c'), line('a'), line('b')],
    { succeeded: 3 },
    { kind: 'complete' },
  ],
  [
    'blank lines between',
    [line('c'), '', line('a'), line('b'), ''],
    { succeeded: 3 },
    { kind: 'complete' },
  ],
  [
    'blanks between, and a byte order mark before',
    [`\ufeff ${line('c')}`, ' \t', `${line('a')} `, line('b'), ' '],
    { succeeded: 3 },
    { kind: 'complete' },
  ],
  ['a byte order mark alone', ['\ufeff'], { succeeded: 3 }, { kind: 'incomplete' }],
  [
    'a byte order mark inside',
    [line('a'), `\ufeff${line('b')}`, line('c')],
    { succeeded: 3 },
    { kind: 'invalid', why: /is not a result/ },
  ],
  ['a line too few', [line('c'), line('a')], { succeeded: 3 }, { kind: 'incomplete' }],
  ['no line', [], { succeeded: 3 }, { kind: 'incomplete' }],
  [
    'a line that comes twice',
    [line('a'), line('a'), line('b'), line('c')],
    { succeeded: 3 },
    { kind: 'invalid', why: /occurs twice/ },
  ],
  [
    'an id that is not ours (N22)',
    [line('x'), line('b'), line('c')],
    { succeeded: 3 },
    { kind: 'invalid', why: /custom_id x, which does not belong to this batch/ },
  ],
  [
    'a line that is cut',
    [line('a'), line('b'), line('c').slice(0, 20)],
    { succeeded: 3 },
    { kind: 'invalid', why: /line at byte \d+ is not a result/ },
  ],
  ['garbage', ['<html>', line('a'), line('b'), line('c')], { succeeded: 3 }, { kind: 'invalid' }],
  [
    'tallies that differ',
    [line('a'), line('b'), line('c', 'errored')],
    { succeeded: 3 },
    {
      kind: 'invalid',
      why: /^1 of its lines have no answer, but the batch reports 3 answers to 3/,
    },
  ],
  [
    'an unknown type proves no tally (N23)',
    [line('a'), line('b'), line('c', 'postponed')],
    { succeeded: 3 },
    { kind: 'complete' },
  ],
]

void t.test('a line that is not UTF-8 makes the set invalid', async t => {
  const answer = Buffer.from(line('b').replace('succeeded', 'succeeded","x":"é'), 'latin1')
  const { verifier } = verify([line('a')], {})
  verifier.take({ start: 9, bytes: answer })
  t.match(verifier.end(), { kind: 'invalid', why: 'the line at byte 9 is not UTF-8' })
})

for (const [name, lines, counts, verdict] of cases) {
  void t.test(`${name}: ${JSON.stringify(verdict)}`, async t => {
    t.match(verify(lines, counts).verdict, verdict)
  })
}

void t.test('the index has the position of each line', async t => {
  const { verifier, file } = verify([line('c'), '', line('a')], {})
  const length = line('a').length
  t.equal(await file.sync(), 2 * (length + 1))
  const index = indexIn(indexBytes(file.index), 3)
  if (typeof index === 'string') return t.fail(index)
  const { entries } = index
  const at = (position: number): (number | undefined)[] =>
    [OFFSET, LENGTH].map(number => entries[position * NUMBERS + number])
  t.same(
    [at(0), at(1), at(2)],
    [
      [length + 1, length],
      [0, 0],
      [0, length],
    ],
  )
  t.equal(verifier.lines, 2)
})

void t.test('a byte order mark is not part of the first line', async t => {
  const { file } = verify([`\ufeff${line('a')}`], {})
  t.equal(await file.sync(), line('a').length + 1)
})

void t.test('more lines than requests are invalid', async t => {
  const more: Ids = { ...ids, position: () => 3 }
  t.match(verify([line('a')], {}, more).verdict, {
    kind: 'invalid',
    why: /more lines than the batch has requests/,
  })
})

void t.test('a reason is short, however long a custom_id is', async t => {
  const { verdict } = verify([line('x'.repeat(100_000))], { succeeded: 3 })
  t.match(verdict, { kind: 'invalid', why: /^the line at byte 0 has the custom_id x+…$/ })
  t.ok(JSON.stringify(verdict).length < 400)
})

void t.test('result types named like members of Object.prototype count as unknown', async t => {
  const lines = [line('a', '__proto__'), line('b', 'constructor'), line('c')]
  t.match(verify(lines, { succeeded: 3 }).verdict, { kind: 'complete' })
})

void t.test(
  'an unknown result type does not allow more lines of another than are counted',
  async t => {
    const lines = [line('a', 'paused'), line('b', 'errored'), line('c', 'errored')]
    t.match(verify(lines, { succeeded: 3 }).verdict, {
      kind: 'invalid',
      why: '2 of its lines have no answer, but the batch reports 3 answers to 3 requests',
    })
    t.match(verify(lines, { succeeded: 1, errored: 2 }).verdict, { kind: 'complete' })
    t.match(verify(lines, { succeeded: 1, expired: 2 }).verdict, { kind: 'complete' })
  },
)

void t.test('of a set that the user has adopted, the valid lines count', async t => {
  const set = [line('a'), 'a trailer', line('a'), line('x'), line('b', 'errored')]
  const adopted = new Verifier(ids, 3, { ...none, succeeded: 3 }, resultFile(), true)
  for (const text of set) adopted.take({ start: 0, bytes: Buffer.from(text) })
  t.match([adopted.end(), adopted.lines], [{ kind: 'incomplete' }, 2])
  adopted.take({ start: 0, bytes: Buffer.from(line('c')) })
  t.match(adopted.end(), { kind: 'complete' })
  for (let more = 0; more < 1000; more++) adopted.take({ start: 7, bytes: Buffer.from('{}') })
  t.notOk(adopted.isInvalid)
  adopted.take({ start: 7, bytes: Buffer.from('{}') })
  t.match(adopted.end(), { kind: 'invalid', why: 'the line at byte 7 is not a result' })
})

void t.test('a line longer than any answer makes the set invalid', async t => {
  const verifier = new Verifier(ids, 3, none, resultFile())
  verifier.take({ start: 7, bytes: Buffer.alloc(64_000_001, 'x') })
  t.ok(verifier.isInvalid)
  t.match(verifier.end(), {
    kind: 'invalid',
    why: 'the line at byte 7 is longer than 64000000 bytes',
  })
})

void t.test(
  'an answer that was refused does not echo the key, and keeps its other bytes',
  async t => {
    const written: Buffer[] = []
    const write = async (bytes: Uint8Array): Promise<void> => void written.push(Buffer.from(bytes))
    const file = new ResultFile(new AppendFile({ ...NOWHERE, write }, 0), 3)
    const verifier = new Verifier(ids, 3, none, file)
    verifier.secrets = ['sk-secret']
    const lines = ['sk-secret', 'refusal'].map((stop, i) => {
      const details = { type: 'refusal', explanation: 'your key is sk-secret' }
      const content = [{ type: 'text', text: 'sk-secret' }]
      const message = { content, stop_details: details, stop_reason: stop }
      return JSON.stringify({ custom_id: IDS[i], result: { type: 'succeeded', message } })
    })
    for (const text of lines) verifier.take({ start: 0, bytes: Buffer.from(text) })
    await file.sync()
    const stored = lines.map(text =>
      text
        .replace('"stop_reason":"sk-secret"', '"stop_reason":"***"')
        .replace('key is sk-secret', 'key is ***'),
    )
    t.equal(Buffer.concat(written).toString(), `${stored.join('\n')}\n`)
  },
)

void t.test('an error that is too long is not kept, and its row says so', async t => {
  const written: Buffer[] = []
  const write = async (bytes: Uint8Array): Promise<void> => void written.push(Buffer.from(bytes))
  const file = new ResultFile(new AppendFile({ ...NOWHERE, write }, 0), 3)
  const verifier = new Verifier(ids, 3, none, file)
  verifier.secrets = ['sk-secret']
  const error = {
    type: 'error',
    error: { type: 'api_error', message: `sk-secret ${'\n'.repeat(700_000)}` },
  }
  const line = JSON.stringify({ custom_id: IDS[1], result: { type: 'errored', error } })
  verifier.take({ start: 0, bytes: Buffer.from(line) })
  t.notOk(verifier.isInvalid)
  await file.sync()
  t.match(JSON.parse(Buffer.concat(written).toString()), {
    custom_id: IDS[1],
    result: {
      type: 'errored',
      error: {
        error: {
          type: 'error_too_long',
          message: `the error is not kept, since its line has ${line.length} bytes`,
        },
      },
    },
  })
})

void t.test(
  'a line that is not a result and does not contain the key is kept as it came',
  async t => {
    const written: Buffer[] = []
    const write = async (bytes: Uint8Array): Promise<void> => void written.push(Buffer.from(bytes))
    const file = new ResultFile(new AppendFile({ ...NOWHERE, write }, 0), 3)
    const verifier = new Verifier(ids, 3, none, file)
    verifier.secrets = ['sk-secret']
    const text = '{"error":"bad \\u0068eader \\"é\\""}'
    verifier.take({ start: 0, bytes: Buffer.from(text) })
    await file.sync()
    t.equal(Buffer.concat(written).toString(), `${text}\n`)
  },
)
