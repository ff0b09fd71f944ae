import t from 'tap'
import type { JobEvent } from '../../lib/core/job/event.ts'
import { formatLine, NO_SUM, readLines } from '../../lib/store/journal-line.ts'

const EVENTS: JobEvent[] = [
  { type: 'opened', version: 1, run: 'abcdefghij', at: 1 },
  { type: 'source', index: 0, name: 'Füße.csv' },
  { type: 'armed', number: 1, at: 2, serverAt: null },
  { type: 'submitted', number: 1, id: 'msgbatch_1', at: 3, adopted: false },
]

function journalOf(events: readonly JobEvent[]): { bytes: Buffer; ends: number[] } {
  const lines: Buffer[] = []
  let sum = NO_SUM
  for (const event of events) {
    const formed = formatLine(event, sum)
    lines.push(formed.line)
    sum = formed.sum
  }
  let end = 0
  return { bytes: Buffer.concat(lines), ends: lines.map(line => (end += line.length)) }
}

const { bytes, ends } = journalOf(EVENTS)
const lastStart = ends.at(-2) as number

void t.test('events are read back unchanged', async t => {
  const read = readLines(bytes)
  t.same(read.events, EVENTS)
  t.equal(read.size, bytes.length)
  const { line, sum } = formatLine(EVENTS[2] as JobEvent, read.sum)
  t.equal(readLines(Buffer.concat([bytes, line])).sum, sum)
  t.same(readLines(Buffer.alloc(0)).events, [])
})

void t.test('a journal cut at any byte gives the whole lines before the cut (C11)', async t => {
  for (let cut = 0; cut <= bytes.length; cut++) {
    const read = readLines(bytes.subarray(0, cut))
    const whole = ends.filter(end => end <= cut).length
    if (read.events.length !== whole || read.size !== (ends[whole - 1] ?? 0))
      t.fail(`cut at ${cut}: ${read.events.length} events, ${read.size} bytes`)
    else t.same(read.events, EVENTS.slice(0, whole), `cut at ${cut}`)
  }
})

void t.test('a journal whose end was never written gives the whole lines before it', async t => {
  for (let cut = 0; cut < bytes.length; cut++) {
    const hole = Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(bytes.length - cut)])
    const { events } = readLines(hole)
    const whole = ends.filter(end => end <= cut).length
    // If only the line end is missing, the line is complete.
    const all = ends.filter(end => end - 1 <= cut).length
    t.ok(events.length === whole || events.length === all, `a hole from ${cut}`)
    t.same(events, EVENTS.slice(0, events.length))
  }
})

for (const mask of [0x01, 0x02, 0x10, 0x20, 0x80, 0xff, 'NUL'] as const) {
  void t.test(`a byte changed by ${mask} never drops or changes a line (C13)`, async t => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = mask === 'NUL' ? 0 : (bytes[at] as number) ^ mask
      let events: readonly JobEvent[] | undefined
      try {
        events = readLines(changed).events
      } catch (error) {
        t.match(error, { code: 'CBS_STATE', message: /damaged at line \d+/ }, `byte ${at}`)
      }
      if (events) t.same(events, EVENTS, `byte ${at} was taken`)
    }
  })
}

void t.test('a hole before a line that was written after a sync is damage', async t => {
  const lines: Buffer[] = []
  let sum = NO_SUM
  let size = 0
  for (let number = 1; number <= 12; number++) {
    // Each third line is synced.
    const event: JobEvent = { type: 'armed', number, at: 2, serverAt: null }
    const formed = formatLine(event, sum, size - (size % 300))
    lines.push(formed.line)
    sum = formed.sum
    size += formed.line.length
  }
  const whole = Buffer.concat(lines)
  t.equal(readLines(whole).events.length, 12)
  for (let sector = 0; sector * 512 < whole.length; sector++) {
    const start = sector * 512
    const changed = Buffer.from(whole).fill(0, start, Math.min(start + 512, whole.length))
    const isLast = start + 512 >= whole.length
    const read = (): unknown => readLines(changed)
    if (isLast) t.equal(readLines(changed).size <= start, true, 'the end was never written')
    else t.throws(read, { code: 'CBS_STATE', message: /damaged at line/ }, `sector ${sector}`)
    // Without the line ends, no line can be found behind it.
    const cut = changed.subarray(0, start + 512)
    t.ok(readLines(cut).size <= start)
  }
  // Only lines that were not synced follow.
  const [first, ...rest] = Array.from({ length: 8 }, (_, n) => {
    const formed = formatLine({ type: 'source', index: n, name: 'x'.repeat(300) }, NO_SUM, 10)
    return formed.line
  }) as [Buffer, ...Buffer[]]
  const unsynced = Buffer.concat([first, ...rest]).fill(0, 512, 1024)
  t.equal(readLines(unsynced).size, first.length)
})

void t.test('a changed byte in a journal with a torn last line is found too', async t => {
  const torn = bytes.subarray(0, lastStart + 40)
  for (let at = 0; at < lastStart; at++) {
    const changed = Buffer.from(torn)
    changed[at] = (torn[at] as number) ^ 0x04
    t.throws(() => readLines(changed), { code: 'CBS_STATE' }, `byte ${at}`)
  }
})

void t.test('a removed, doubled or moved line is found', async t => {
  const lines = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))
  const [a, b, c, d] = lines as [Buffer, Buffer, Buffer, Buffer]
  for (const wrong of [
    [a, c, d],
    [a, b, b, c, d],
    [a, c, b, d],
    [b, c, d],
  ])
    t.throws(() => readLines(Buffer.concat(wrong)), { code: 'CBS_STATE' })
})

void t.test('a file that is not a journal is damage at line 1', async t => {
  for (const other of ['{"a":1}\n', 'hello', '{"size":"000010-999989","sum":""}', '{"size":"12x'])
    t.throws(() => readLines(Buffer.from(other)), { code: 'CBS_STATE', place: { line: 1 } })
})

void t.test('an event that is too long for a line is rejected before it is written', async t => {
  const long: JobEvent = { type: 'source', index: 0, name: 'x'.repeat(1_000_000) }
  t.throws(() => formatLine(long, NO_SUM), { code: 'CBS_STATE' })
})

void t.test('bytes that were never a line are damage, even if NULs follow them', async t => {
  for (const stray of ['x', '{"size":"0001x', '{"event"']) {
    const torn = Buffer.concat([bytes, Buffer.from(stray), Buffer.alloc(600)])
    t.throws(() => readLines(torn), { code: 'CBS_STATE', message: /damaged at line 5/ }, stray)
  }
})
