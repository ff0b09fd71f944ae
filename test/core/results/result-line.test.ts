import t from 'tap'
import { ResultLine } from '../../../lib/core/results/result-line.ts'

const MESSAGE =
  '{"id":"m","model":"claude","content":[{"type":"thinking","thinking":"hm","text":"no"},{"text":"a \\"b\\"","type":"text"},{"type":"text","text":"é"},{"type":"text"},{"type":"text","text":1},null,[]],"stop_reason":"end_turn","stop_details":null,"usage":{"input_tokens":3,"nested":{"text":"x","type":"text"}}}'
const LINE = `{"custom_id":"a","result":{"type":"succeeded","message":${MESSAGE}}}`

/** What is read of a line, as values. */
function partsOf(json: string, how: 'check' | 'read' = 'check'): unknown {
  const line = ResultLine[how](Buffer.from(json))
  return (
    line && {
      customId: line.string(line.customId),
      type: line.string(line.type),
      model: line.string(line.model),
      stopReason: line.string(line.stopReason),
      usage: line.parse(line.usage),
      error: line.parse(line.error),
      texts: line.texts.map(text => line.string(text)),
    }
  )
}

const PARTS = {
  customId: 'a',
  type: 'succeeded',
  model: 'claude',
  stopReason: 'end_turn',
  usage: { input_tokens: 3, nested: { text: 'x', type: 'text' } },
  error: undefined,
  texts: ['a "b"', 'é'],
}

for (const how of ['check', 'read'] as const) {
  void t.test(`${how} finds the parts of a line`, async t => {
    t.same(partsOf(LINE, how), PARTS)
    t.same(
      partsOf(` ${LINE.replaceAll(/([{}:,[\]])/g, ' $1 ')} `, how),
      PARTS,
      'with blanks between',
    )
    const other = '{"result":{"error":{"error":{"type":"x"}},"type":"errored"},"custom_id":"b"}'
    t.match(partsOf(other, how), {
      customId: 'b',
      type: 'errored',
      error: { error: { type: 'x' } },
      texts: [],
    })
  })

  void t.test(
    `${how} takes the last of equal keys, and keys with escapes, as JSON.parse does`,
    async t => {
      const twice = `{"custom_id":"x",${LINE.slice(1, -1)},"result":{"type":"expired","type":"canceled"}}`
      t.match(partsOf(twice, how), {
        customId: 'a',
        type: 'canceled',
        model: undefined,
        usage: undefined,
        texts: [],
      })
      t.same(
        partsOf(
          LINE.replace('custom_id', 'custom\\u005fid').replace('"type"', '"t\\u0079pe"'),
          how,
        ),
        PARTS,
      )
      const emptied = `{"custom_id":"a","result":{"type":"succeeded","message":${MESSAGE},"message":null}}`
      t.match(partsOf(emptied, how), { model: undefined, texts: [] })
      const noList = LINE.replace('"stop_reason"', '"content":"none","stop_reason"')
      t.match(partsOf(noList, how), { texts: [] })
      t.match(partsOf('{"custom_id":"a","result":{"type":"x","message":{"content":[]}}}', how), {
        texts: [],
      })
    },
  )
}

void t.test('a line that is cut anywhere is not a result line', async t => {
  for (let end = 0; end < LINE.length; end++)
    if (partsOf(LINE.slice(0, end)) !== undefined) t.fail(`cut at ${end}`)
  t.pass('all cuts')
})

void t.test(
  'a line with any byte at any position is a result line exactly where JSON.parse accepts it',
  async t => {
    for (let at = 0; at < LINE.length; at++)
      for (const byte of '{}[]",:\\0 \x01x') {
        const changed = LINE.slice(0, at) + byte + LINE.slice(at + 1)
        let value
        try {
          value = JSON.parse(changed)
        } catch {
          value = undefined
        }
        const isLine =
          typeof value?.custom_id === 'string' && typeof value?.result?.type === 'string'
        if ((partsOf(changed) !== undefined) !== isLine) t.fail(`${byte} at ${at}: ${changed}`)
      }
    t.pass('all changes')
  },
)

void t.test('invalid UTF-8 becomes what rows can hold', async t => {
  const line = ResultLine.read(Buffer.from(LINE.replace('é', '\xe9'), 'latin1'))
  t.same(
    line.texts.map(text => line.string(text)),
    ['a "b"', '\ufffd'],
  )
})

void t.test('a stored line that was changed is an error', async t => {
  t.throws(() => ResultLine.read(Buffer.from('{"custom_id":"a"')), {
    code: 'CBS_STATE',
    message: /a kept result line is damaged: \{"custom_id":"a"; see/,
  })
})

for (const other of [
  '',
  'x',
  'null',
  '1',
  '"a"',
  '[]',
  '{}',
  '{"custom_id":1,"result":{"type":"a"}}',
  '{"custom_id":"a"}',
  '{"custom_id":"a","result":null}',
  '{"custom_id":"a","result":{"type":5}}',
  '{"custom_id":"a","result":{"type":"expired"}',
]) {
  void t.test(`${other || 'nothing'} is not a result line`, async t => {
    t.equal(ResultLine.check(Buffer.from(other)), undefined)
  })
}
