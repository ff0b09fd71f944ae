// Both paths are fed the same lines and must agree: the scanner with its table, and the splitter with ResultLine alone.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  ENTRY,
  INPUT_BYTES,
  ODD,
  PLAIN,
  Scanner,
  scanner,
  STRIDE,
} from '../../../lib/core/json/scanner.ts'
import type { Line } from '../../../lib/core/line-splitter.ts'
import { ResultLine } from '../../../lib/core/results/result-line.ts'
import { statusOfType } from '../../../lib/core/results/status.ts'
import { LineFeed } from '../../../lib/stages/results/line-feed.ts'

interface Fed {
  /** Where each line begins, and its bytes. */
  readonly lines: (readonly [start: number, text: string])[]
  /** What the scanner vouches for. */
  readonly proven: {
    readonly line: Buffer
    readonly parts: (Buffer | undefined)[]
    readonly plain: boolean
  }[]
}

const PARTS = [ENTRY.customId, ENTRY.type, ENTRY.model, ENTRY.stopReason, ENTRY.usage, ENTRY.text]

/** Feeds chunks, each of whose memory is overwritten afterwards. */
function feed(chunks: readonly Buffer[], by: Scanner | undefined): Fed {
  const fed: Fed = { lines: [], proven: [] }
  const take = ({ start, bytes }: Line): void =>
    void fed.lines.push([start, bytes.toString('latin1')])
  const takeScanned = ({ bytes, table }: Scanner, lines: number, offset: number): void => {
    for (let at = 0; at < lines * STRIDE; at += STRIDE) {
      const start = table[at + ENTRY.start] ?? 0
      const line = Buffer.from(bytes.subarray(start, table[at + ENTRY.end]))
      take({ start: start + offset, bytes: line })
      const kind = table[at + ENTRY.kind]
      if (kind === ODD) continue
      const parts = PARTS.map(part => {
        const from = table[at + part] ?? 0
        return from === 0 ? undefined : Buffer.from(bytes.subarray(from, table[at + part + 1]))
      })
      fed.proven.push({ line, parts, plain: kind === PLAIN })
    }
  }
  const feed = new LineFeed({ take, takeScanned, isInvalid: false }, by)
  for (const chunk of chunks) feed.push(Buffer.from(chunk))
  feed.end()
  return fed
}

/** What the scanner vouches for must be what ResultLine says. */
function agrees(t: Test, { proven }: Fed): void {
  for (const { line, parts, plain } of proven) {
    const read = ResultLine.check(line)
    if (!read) return void t.fail(`the scanner proved ${line}`)
    const [text] = read.texts
    const places = [read.customId, read.type, read.model, read.stopReason, read.usage]
    const expected = places.map(place => place && line.subarray(place.start, place.end))
    const found = parts.slice(0, -1)
    if (!expected.every((part, index) => part?.toString() === found[index]?.toString()))
      return void t.fail(`parts of ${line}`)
    const isPlain =
      read.hasContent &&
      read.texts.length === 1 &&
      statusOfType(read.string(read.type) ?? '', read.string(read.stopReason) ?? null) ===
        'succeeded'
    if (plain && !(isPlain && text && parts.at(-1)?.equals(line.subarray(text.start, text.end))))
      return void t.fail(`${line} is not plain`)
  }
  t.pass('the scanner agrees with ResultLine')
}

function bothWays(t: Test, bytes: Buffer, cuts: readonly number[]): Fed {
  const chunks: Buffer[] = []
  let from = 0
  for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    chunks.push(bytes.subarray(from, cut))
    from = cut
  }
  const scanned = feed(chunks, scanner())
  const simple = feed([bytes], undefined)
  t.strictSame(scanned.lines, simple.lines, 'the same lines')
  agrees(t, scanned)
  return scanned
}

function answer(text: string, extra: object = {}): string {
  const message = {
    id: 'msg_1',
    type: 'message',
    model: 'claude-haiku-4-5',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 2 },
    ...extra,
  }
  return JSON.stringify({ custom_id: 'run-1-a', result: { type: 'succeeded', message } })
}

const LINES = [
  answer('plain'),
  answer('é "quoted" \\ \n \u2028'),
  answer('', { stop_reason: 'max_tokens' }),
  answer('x', {
    content: [
      { type: 'thinking', thinking: '{"text":"no"}' },
      { type: 'text', text: 'yes' },
    ],
  }),
  answer('x', {
    content: [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ],
  }),
  answer('x', { content: [5] }),
  answer('x', { content: 'text' }),
  answer('x', { content: [{ type: 'text', text: 5 }] }),
  answer('x', { content: [{ type: 'text' }] }),
  answer('x', { content: [{ type: 'text' }, { type: 'text', text: 'a' }] }),
  answer('x', { content: [{ type: 'text', text: 'a' }, { text: 'b' }] }),
  answer('x', { content: [{ type: 5 }, { type: 'text', text: 'a' }] }),
  answer('x', { content: [{ type: null, text: 'a' }] }),
  answer('x', { content: [{ type: 'text', text: 'a' }, {}] }),
  answer('x', { usage: null, model: null }),
  '{"custom_id":"a","result":{"type":"errored","error":{"type":"error","error":{"type":"api_error","message":"m"}}}}',
  '{"custom_id":"a","custom_id":"b","result":{"type":"expired"}}',
  '{"custom_id":"a","result":{"type":"expired"},"result":5}',
  '{"custom\\u005fid":"a","result":{"type":"expired"}}',
  '{"custom_id":"\\u0061","result":{"type":"\\u0065xpired"}}',
  answer('x').replace('"text"', '"te\\u0078t"'),
  answer('x').replace('"model"', '"mod\\u0065l"'),
  answer('x').replace('custom_id', 'custom_ie'),
  answer('x').replace('stop_reason', 'stop_reasom'),
  `  ${answer('blanks')}\t `,
  '',
  ' \t',
  '\ufeff{}',
  '<html>',
  'null',
  '{"custom_id":5,"result":{"type":"expired"}}',
  `{"custom_id":"deep","result":{"type":"x","a":${'['.repeat(300)}${']'.repeat(300)}}}`,
]

void t.test('there is a scanner, and none without WebAssembly', async t => {
  t.ok(scanner())
  const none = Scanner.load(undefined, () => {
    throw new Error('no WebAssembly')
  })
  t.equal(none, undefined)
})

void t.test('most answers are plain, and unusual ones are judged by ResultLine', async t => {
  const { proven } = bothWays(t, Buffer.from(`${LINES.join('\n')}\n`), [])
  t.ok(proven.filter(({ plain }) => plain).length >= 3)
  t.ok(proven.length < LINES.length - 8)
})

void t.test('lines that are cut at every byte', async t => {
  const bytes = Buffer.from(
    `${LINES.slice(0, 6).join('\r\n')}\n\n${answer('no newline at the end')}`,
  )
  for (let cut = 0; cut < bytes.length; cut += 1) {
    const scanned = feed([bytes.subarray(0, cut), bytes.subarray(cut)], scanner())
    t.strictSame(scanned.lines, feed([bytes], undefined).lines)
  }
  bothWays(
    t,
    bytes,
    Array.from({ length: bytes.length }, (_, at) => at),
  )
})

void t.test('lines that are truncated at every byte', async t => {
  const short = LINES.flatMap(line =>
    Array.from({ length: line.length }, (_, at) => line.slice(0, at)),
  )
  bothWays(t, Buffer.from(short.join('\n')), [1000, 70_000])
})

void t.test('lines longer than the memory of the scanner', async t => {
  const long = answer('x'.repeat(INPUT_BYTES))
  const fits = answer('y'.repeat(INPUT_BYTES - 1000))
  const bytes = Buffer.from([answer('a'), long, answer('b'), fits, long, answer('c')].join('\n'))
  const cuts = Array.from({ length: Math.floor(bytes.length / 65_536) }, (_, at) => at * 65_536)
  const { lines } = bothWays(t, bytes, cuts)
  t.equal(lines.length, 6)
  bothWays(t, bytes, [])
})

void t.test('JSON and near-JSON', async t => {
  const json = fc.json({ maxDepth: 5 })
  const member = fc.constantFrom(
    'custom_id',
    'result',
    'type',
    'message',
    'content',
    'text',
    'usage',
    'model',
    'stop_reason',
  )
  const text = fc.constantFrom('succeeded', 'errored', 'text', 'end_turn', 'a\\"', '\\u0041', 'é')
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 5 },
      text.map(word => `"${word}"`),
      fc.constantFrom('null', '0', '-1.5e+3', '01', 'tru', '[]', '{}'),
      fc.array(tie('value'), { maxLength: 3 }).map(items => `[${items.join(',')}]`),
      fc
        .array(fc.tuple(member, tie('value')), { maxLength: 4 })
        .map(members => `{${members.map(([key, item]) => `"${key}":${String(item)}`).join(',')}}`),
    ),
  }))
  const changed = fc
    .tuple(
      fc.constantFrom(...LINES),
      fc.nat(),
      fc.constantFrom('', '"', '\\', '{', '}', ',', '1', '\u0001'),
    )
    .map(
      ([line, at, by]) =>
        line.slice(0, at % (line.length + 1)) + by + line.slice((at % (line.length + 1)) + 1),
    )
  const lines = fc.array(fc.oneof(json, value.map(String), changed), { maxLength: 20 })
  fc.assert(
    fc.property(lines, fc.array(fc.nat(), { maxLength: 5 }), (texts, cuts) => {
      const bytes = Buffer.from(texts.join('\n'))
      bothWays(
        t,
        bytes,
        cuts.map(cut => cut % (bytes.length + 1)),
      )
    }),
    { numRuns: 300 },
  )
})
