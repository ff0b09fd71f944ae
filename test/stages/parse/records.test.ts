import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { SourceRecord } from '../../../lib/core/flow.ts'
import { records, type ObjectItems } from '../../../lib/stages/parse/records.ts'

async function all(source: ObjectItems<object>): Promise<SourceRecord<object>[]> {
  const found: SourceRecord<object>[] = []
  for await (const record of records(source)) found.push(record)
  return found
}

const rows = [{ id: 1 }, { id: 2 }, { id: 3 }]

void t.test('arrays, generators, streams and web streams are sources', async t => {
  async function* cursor(): AsyncGenerator<{ id: number }> {
    yield* rows
  }
  const sources: ObjectItems<{ id: number }>[] = [
    rows,
    new Set(rows),
    cursor(),
    Readable.from(rows),
    new ReadableStream<{ id: number }>({
      start(controller) {
        for (const row of rows) controller.enqueue(row)
        controller.close()
      },
    }),
  ]
  for (const source of sources) {
    const found = await all(source)
    t.same(
      found.map(({ fields, line }) => [fields, line]),
      rows.map((row, at) => [row, at + 1]),
    )
    t.equal(found[0]?.raw.toString(), '{"id":1}')
  }
})

void t.test('a record holds its object as JSON, as it was on arrival', async t => {
  const row = { when: new Date(0), gone: undefined, call: () => 1, text: 'ü\n' }
  const [record] = await all([row])
  row.text = 'changed later'
  t.same(record?.fields, { when: '1970-01-01T00:00:00.000Z', text: 'ü\n' })
  t.equal(record?.raw.toString(), '{"when":"1970-01-01T00:00:00.000Z","text":"ü\\n"}')
})

void t.test('an existing record passes unchanged', async t => {
  const record = new SourceRecord(Buffer.from('{"a":1}'), { line: 7, source: 'a.csv' })
  t.same(await all([record]), [record])
})

void t.test(
  'an object that JSON cannot express is a rejected row with what can be shown',
  async t => {
    const loop: Record<string, unknown> = { id: 1 }
    loop['self'] = loop
    const found = await all([
      { id: 9n, text: 'a' },
      loop,
      { toJSON: () => 'text' },
      { toJSON: () => undefined },
    ])
    t.match(
      found.map(({ raw, problem }) => [raw.toString(), problem?.type, problem?.message]),
      [
        ['{"id":"9","text":"a"}', 'invalid_record', /record 1 cannot be written as JSON: .*BigInt/],
        ['{"id":1}', 'invalid_record', /record 2 .*circular/],
        ['{}', 'invalid_record', /its toJSON returns "text", which is not an object/],
        ['{}', 'invalid_record', /its toJSON returns nothing, which is not an object/],
      ],
    )
  },
)

void t.test('objects are read one at a time, and the source is closed with the loop', async t => {
  let taken = 0
  let isEnded = false
  async function* endless(): AsyncGenerator<{ id: number }> {
    try {
      for (;;) yield { id: taken++ }
    } finally {
      isEnded = true
    }
  }
  for await (const { fields } of records(endless())) if (fields.id === 2) break
  t.ok(taken < 50, `${taken} objects were taken for 3 records`)
  t.ok(isEnded)
})

/** What no compiler has checked. */
function untyped(source: unknown): ObjectItems<object> {
  return source as ObjectItems<object>
}

void t.test('the error for a wrong source says what to do', async t => {
  t.throws(() => records(untyped('text')), { code: 'CBS_OPTION', message: /`source` must be/ })
  t.throws(() => records(untyped({ id: 1 })), { code: 'CBS_OPTION' })
  const refused = async (t: Test, item: unknown, message: RegExp): Promise<void> => {
    await t.rejects(all(untyped([{ id: 1 }, item])), { code: 'CBS_STAGE', message })
  }
  await refused(
    t,
    Buffer.from('a'),
    /item 2 .* bytes or text: wrap each text, .* put a parser .*parseCsv/,
  )
  await refused(t, 'text', /put a parser/)
  await refused(t, new ArrayBuffer(2), /item 2/)
  await refused(t, ['a'], /a list: wrap each value/)
  await refused(t, null, /null: wrap each value/)
  await refused(t, 5, /number: wrap each value/)
})

void t.test('an error of the source is passed on unchanged', async t => {
  const broken = new Error('connection lost')
  async function* cursor(): AsyncGenerator<{ id: number }> {
    yield { id: 1 }
    throw broken
  }
  await t.rejects(all(cursor()), broken)
})
