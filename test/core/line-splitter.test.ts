import t from 'tap'
import { Splitter, type Line } from '../../lib/core/line-splitter.ts'

/** Gives a copy of each chunk, which is overwritten once it has been split, and copies each line before the next. */
function split(chunks: readonly Buffer[]): Line[] {
  const splitter = new Splitter()
  const lines: Line[] = []
  const take = (given: Iterable<Line>): void => {
    for (const { start, bytes } of given) lines.push({ start, bytes: Buffer.from(bytes) })
  }
  for (const chunk of chunks.map(one => Buffer.from(one))) {
    take(splitter.push(chunk))
    chunk.fill('#')
  }
  take(splitter.end())
  return lines
}

const TEXT = '{"a":1}\n\n{"b":"é 😀"}\r\n{"c":3}\r\n\r\nlast'
const EXPECTED = [
  [0, '{"a":1}'],
  [8, ''],
  [9, '{"b":"é 😀"}'],
  [26, '{"c":3}'],
  [35, ''],
  [37, 'last'],
]

const shown = (lines: readonly Line[]): unknown =>
  lines.map(({ start, bytes }) => [start, bytes.toString()])

void t.test('lines and their offsets are the same however the bytes arrive', async t => {
  const bytes = Buffer.from(TEXT)
  t.same(shown(split([bytes])), EXPECTED)
  const single = [...bytes].map(byte => Buffer.from([byte]))
  t.same(shown(split(single)), EXPECTED, 'one byte at a time')
  for (let cut = 1; cut < bytes.length; cut++) {
    const two = [bytes.subarray(0, cut), bytes.subarray(cut)]
    t.same(shown(split(two)), EXPECTED, `cut at ${cut}`)
  }
})

void t.test('an empty download has no lines, and a final newline starts none', async t => {
  t.same(shown(split([])), [])
  t.same(shown(split([Buffer.from('a\n')])), [[0, 'a']])
})

void t.test('a line of 2 MB in small pieces takes linear time', async t => {
  const time = (bytes: number): number => {
    const pieces = Array.from({ length: bytes / 256 }, () => Buffer.alloc(256, 'x'))
    const began = process.cpuUsage()
    t.equal(split(pieces)[0]?.bytes.length, bytes)
    return process.cpuUsage(began).user + process.cpuUsage(began).system
  }
  time(1_048_576)
  // Quadratic time would be 16 times as much.
  t.ok(time(8_388_608) < Math.max(20_000, time(2_097_152)) * 12)
})

void t.test('lines in pieces share one buffer', async t => {
  const splitter = new Splitter()
  t.same([...splitter.push(Buffer.from('abc'))], [])
  t.equal(splitter.held, 3)
  const [first] = splitter.push(Buffer.from('def\n'))
  t.equal(String(first?.bytes), 'abcdef')
  t.same([...splitter.push(Buffer.from('xy'))], [])
  const [second] = splitter.push(Buffer.from('z\n'))
  t.equal(second?.bytes.buffer, first?.bytes.buffer)
  t.equal(String(second?.bytes), 'xyz')
})
