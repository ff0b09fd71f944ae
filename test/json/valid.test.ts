import t from 'tap'
import { endOfValid } from '../../lib/json/valid.ts'

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

void t.test('takes whole values, and says where they end', async t => {
  for (const sample of SAMPLES)
    t.same(judge(Buffer.from(sample)), { parse: true, ours: true }, sample)
  t.equal(endOfValid(Buffer.from('  {"a":1}, 2'), 2), 9)
  t.equal(endOfValid(Buffer.from('12,'), 0), 2)
  t.equal(endOfValid(Buffer.from('1' + '0'.repeat(5000)), 0), 5001)
})

void t.test('nests as deep as the bytes go', async t => {
  const deep = Buffer.from('[{"a":'.repeat(200_000) + '1' + '}]'.repeat(200_000))
  t.equal(endOfValid(deep, 0), deep.length)
  t.equal(endOfValid(deep.subarray(0, -1), 0), -1)
})

void t.test('cut anywhere it is refused, as JSON.parse does', async t => {
  for (const sample of SAMPLES)
    for (let end = 0; end < sample.length; end++) {
      const { parse, ours } = judge(Buffer.from(sample.slice(0, end)))
      if (parse !== ours) t.fail(`cut at ${end}: ${sample}`)
    }
  t.pass('all cuts')
})

void t.test('with any byte at any place it judges as JSON.parse does', async t => {
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
