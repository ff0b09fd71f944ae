import t from 'tap'
import { endOfValid } from '../../../lib/core/json/valid.ts'

/** Whether JSON.parse takes it, and whether we do, as one whole. */
function judge(bytes: Buffer): { parse: boolean; ours: boolean } {
  const text = bytes.toString('latin1')
  let parse = true
  try {
    JSON.parse(text)
  } catch {
    parse = false
  }
  const start = text.length - text.trimStart().length
  const end = endOfValid(bytes, start)
  return { parse, ours: end !== -1 && /^[ \n\r\t]*$/.test(text.slice(end)) }
}

const SAMPLES = [
  '{"a":[1,-0.5e+3,{"b":null}],"c":"d\\"\\\\\\u00e9\\n","e":{},"f":[],"g":true,"h":false}',
  ' [ [ ] , { } , "" , 0 , 10 , -1E5 , 1.25e-7 ] ',
  '{"a" : {"b" : [ {"c":"\\/\\b\\f\\r\\t"} ] } , "a" : 1 }',
  '"\\ud83d\\ude00"',
  '-0',
  'null',
]

void t.test('a whole value is accepted, and its end returned', async t => {
  for (const sample of SAMPLES)
    t.same(judge(Buffer.from(sample)), { parse: true, ours: true }, sample)
  t.equal(endOfValid(Buffer.from('  {"a":1}, 2'), 2), 9)
  t.equal(endOfValid(Buffer.from('12,'), 0), 2)
  t.equal(endOfValid(Buffer.from('1' + '0'.repeat(5000)), 0), 5001)
})

void t.test('values may nest as deep as the bytes allow', async t => {
  const deep = Buffer.from('[{"a":'.repeat(200_000) + '1' + '}]'.repeat(200_000))
  t.equal(endOfValid(deep, 0), deep.length)
  t.equal(endOfValid(deep.subarray(0, -1), 0), -1)
})

void t.test('an opening bracket is closed only by its counterpart, at any depth', async t => {
  const kinds = Array.from({ length: 100 }, (_, level) => level % 3 === 0 || level % 7 === 0)
  const opening = kinds.map(isObject => (isObject ? '{"a":' : '[')).join('')
  const closing: string[] = kinds.map(isObject => (isObject ? '}' : ']')).reverse()
  t.equal(endOfValid(Buffer.from(`${opening}1${closing.join('')}`), 0), opening.length + 101)
  for (const level of closing.keys()) {
    const wrong = closing.with(level, closing[level] === '}' ? ']' : '}').join('')
    t.equal(endOfValid(Buffer.from(`${opening}1${wrong}`), 0), -1, `level ${level}`)
    const comma = closing.with(level, `,2${closing[level]}`).join('')
    const isArray = closing[level] === ']'
    t.equal(endOfValid(Buffer.from(`${opening}1${comma}`), 0) !== -1, isArray, `level ${level}`)
  }
})

void t.test('a document that is cut anywhere is rejected, as by JSON.parse', async t => {
  for (const sample of SAMPLES)
    for (let end = 0; end < sample.length; end++) {
      const { parse, ours } = judge(Buffer.from(sample.slice(0, end)))
      if (parse !== ours) t.fail(`cut at ${end}: ${sample}`)
    }
  t.pass('all cuts')
})

void t.test('a document with any byte at any position is judged as by JSON.parse', async t => {
  let judged = 0
  for (const sample of SAMPLES) {
    const bytes = Buffer.from(sample)
    for (let at = 0; at < bytes.length; at++) {
      for (const byte of Buffer.from(
        '{}[]",:\\0159-+.eEtfnu \n\t\r\x00\x1f\x7f\xffaA/',
        'latin1',
      )) {
        const changed = Buffer.from(bytes)
        changed[at] = byte
        const { parse, ours } = judge(changed)
        judged += 1
        if (parse !== ours) t.fail(`${byte} at ${at}: JSON.parse says ${parse} of ${changed}`)
      }
    }
  }
  t.ok(judged > 5000)
})

void t.test('a long string is judged as by JSON.parse, whatever it contains', async t => {
  let judged = 0
  for (let shift = 0; shift < 4; shift++) {
    const memory = Buffer.alloc(400, ' ')
    for (const byte of [
      0x00, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff,
    ])
      for (let at = 150; at < 170; at++)
        for (const end of [200, 201, 202, 203]) {
          memory.fill(' ').fill('x', shift + 1, shift + end)
          memory[shift] = memory[shift + end] = 0x22
          memory[shift + at] = byte
          const bytes = memory.subarray(shift, shift + end + 1)
          const { parse, ours } = judge(bytes)
          judged += 1
          if (parse !== ours) t.fail(`${byte} at ${at} of ${end}, shifted by ${shift}`)
          const cut = judge(bytes.subarray(0, -1))
          if (cut.ours !== cut.parse) t.fail(`cut: ${byte} at ${at} of ${end}, shifted by ${shift}`)
        }
  }
  t.equal(judged, 4 * 14 * 20 * 4)
})

void t.test('every escape in a long string is checked', async t => {
  const long = 'x'.repeat(200)
  for (const tail of ['\\n', '\\u00e9', '\\"', '\\\\', '\\x', '\\u00g0', '\\'])
    for (const more of ['', 'y', long]) {
      const bytes = Buffer.from(`"${long}${tail}${more}"`)
      t.same(judge(bytes).ours, judge(bytes).parse, bytes.toString())
    }
})
