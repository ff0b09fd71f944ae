import t from 'tap'
import { answerCheck } from '../../../lib/core/schema/answer-check.ts'
import { Result } from '../../../lib/core/results/result.ts'
import { mergedRows } from '../../../lib/stages/write/merge.ts'
import { RowBytes } from '../../../lib/stages/write/row-bytes.ts'
import type { FieldNames } from '../../../lib/stages/write/row-fields.ts'
import { answered, batch, message, record, said, usage, without } from './made.ts'

const names = { response: 'response', meta: '_batch' }
const mergedRow = (result: Result, names: FieldNames) => mergedRows(names, new RowBytes())(result)
const row = (result: Result) => mergedRow(result, names).toString()
const parsed = (result: Result) => JSON.parse(row(result))

t.test('a row is the record byte for byte, plus two fields before its last brace', async t => {
  const json =
    '{"id":"17", "n":12345678901234567890,"x":1.0,"é":"\\u00e9 😀","a":1,"a":2,"__proto__":{"y":[ ]} }'
  const expected =
    `${json.slice(0, -1)},"response":"negative","_batch":{"status":"succeeded","custom_id":"r-1","line":18,` +
    `"batch_id":"msgbatch_1","attempt":1,"stop_reason":"end_turn","model":"claude-haiku-5-5","usage":${JSON.stringify(usage)}}}\n`
  t.equal(row(said('negative', json)), expected)
})

t.test('the file is named if there is one', async t => {
  const row = mergedRow(
    said('x', record('{"id":1}', { line: 3, source: 'a.csv' })),
    names,
  ).toString()
  t.match(row, '"custom_id":"r-1","line":3,"source":"a.csv","batch_id"')
})

t.test('an empty object gets no comma', async t => {
  t.ok(row(said('x', '{}')).startsWith('{"response":"x","_batch":{'))
  t.ok(row(said('x', '{ \t}')).startsWith('{ \t"response":"x","_batch":{'))
})

t.test('every character of a response survives', async t => {
  const text = 'a"b\\c\n\r\u2028\u0000é😀\ud800'
  t.equal(parsed(said(text)).response, JSON.parse(JSON.stringify(text)))
  t.equal(row(said(text)).split('\n').length, 2, 'one line')
})

t.test('text blocks are joined, and thinking and tool blocks are not text', async t => {
  const blocks = [
    { type: 'thinking', thinking: 'hm', signature: 's' },
    { type: 'text', text: 'one ' },
    { type: 'server_tool_use', id: 't', name: 'web_search', input: {} },
    { type: 'text', text: 'two' },
  ]
  t.equal(parsed(answered(message(blocks))).response, 'one two')
})

t.test('an answer without text has a null response', async t => {
  const tool = [{ type: 'tool_use', id: 't', name: 'f', input: {} }]
  t.match(parsed(answered(message(tool, { stop_reason: 'tool_use' }))), {
    response: null,
    _batch: { status: 'succeeded', stop_reason: 'tool_use' },
  })
})

t.test('O05: a truncated or refused answer never looks like a good one', async t => {
  for (const stop_reason of ['max_tokens', 'model_context_window_exceeded', 'pause_turn']) {
    t.match(parsed(answered(message([{ type: 'text', text: 'so f' }], { stop_reason }))), {
      response: 'so f',
      _batch: {
        status: 'incomplete',
        stop_reason,
        usage,
        error: { type: 'incomplete', message: String },
      },
    })
  }
  const stop_details = { type: 'refusal', category: 'bio', explanation: null }
  t.match(parsed(answered(message([], { stop_reason: 'refusal', stop_details }))), {
    response: null,
    _batch: { status: 'refused', usage, error: { type: 'refusal', message: /category bio/ } },
  })
})

t.test("an errored row contains the API's reason, which is nested twice", async t => {
  const error = {
    type: 'error',
    error: { type: 'invalid_request_error', message: 'too long' },
    request_id: null,
  }
  t.equal(
    row(answered({ type: 'errored', error })),
    '{"id":"17","response":null,"_batch":{"status":"errored","custom_id":"r-1","line":18,"batch_id":"msgbatch_1","attempt":1,"error":{"type":"invalid_request_error","message":"too long"}}}\n',
  )
})

t.test('N23: an unknown result type becomes an errored row that names it', async t => {
  t.match(parsed(answered({ type: 'postponed' })), {
    response: null,
    _batch: { status: 'errored', error: { type: 'unknown_result_type', message: /postponed/ } },
  })
})

t.test('expired, canceled and unanswered rows have their status', async t => {
  for (const status of ['expired', 'canceled']) {
    t.match(parsed(answered({ type: status })), {
      response: null,
      _batch: { status, batch_id: 'msgbatch_1', error: { type: status } },
    })
  }
  t.match(parsed(without('unanswered')), {
    response: null,
    _batch: { status: 'unanswered', custom_id: 'r-1', batch_id: 'msgbatch_1' },
  })
})

t.test('a rejected row has no ids, but its attempt', async t => {
  t.equal(
    row(without('rejected', '{"input":"not json"}')),
    '{"input":"not json","response":null,"_batch":{"status":"rejected","custom_id":null,"line":18,"batch_id":null,"attempt":1,"error":{"type":"missing_field","message":"a reason"}}}\n',
  )
})

t.test('an answer that violates the schema is null, and its paid text is kept', async t => {
  const raw = Buffer.from(
    JSON.stringify({ custom_id: 'r-1', result: message([{ type: 'text', text: '{"a":' }]) }),
  )
  const check = answerCheck({ type: 'object' })
  const result = new Result({
    batch,
    customId: 'r-1',
    record: record('{}'),
    raw,
    last: true,
    check,
  })
  t.match(parsed(result), { response: null, _batch: { status: 'invalid', text: '{"a":' } })
  t.equal(Object.keys(parsed(result)._batch).at(-1), 'text')
})

t.test('the fields that an earlier run added are replaced, at any position', async t => {
  const old = '"_batch":{"status":"expired","x":["}"]}'
  for (const [json, kept] of [
    [`{"id":1.0,"response":null,${old}}`, '{"id":1.0'],
    [`{${old},"response":null,"id":1.0}`, '{"id":1.0'],
    [`{"id":1.0,${old},"note":"\\"_batch\\""}`, '{"id":1.0,"note":"\\"_batch\\""'],
    ['{"id":1.0,"\\u005fbatch":1,"response":null}', '{"id":1.0'],
  ] as const) {
    const written = row(said('new', json))
    t.ok(written.startsWith(`${kept},"response":"new","_batch":{"status":"succeeded"`), written)
    t.equal(written.split('"response":').length, 2, 'one response')
  }
  t.ok(row(said('new', `{${old},"response":null}`)).startsWith('{"response":"new","_batch":{'))
})

t.test('a rejected record keeps a response of its own', async t => {
  const own = row(without('rejected', '{"response":"mine","id":1,"_batch":2}', 'response_exists'))
  t.ok(own.startsWith('{"response":"mine","id":1,"_batch":{"status":"rejected"'), own)
  t.match(parsed(without('rejected', '{"response":false}')), {
    response: false,
    _batch: { status: 'rejected' },
  })
  t.match(parsed(without('rejected', '{"response":null,"id":1}')), { response: null, id: 1 })
})

t.test('an answered record never has two responses, even if records may have one', async t => {
  t.ok(row(said('new', '{"response":"old","id":1}')).startsWith('{"id":1,"response":"new"'))
})

t.test('a field with a similar name stays', async t => {
  const json = '{"note":"\\u0022_batch\\/","path":{"response":1,"_batch":2}}'
  t.ok(row(said('x', json)).startsWith(`${json.slice(0, -1)},"response":"x","_batch":{`))
})

t.test('a result without a record consists of the two fields', async t => {
  const raw = Buffer.from(JSON.stringify({ custom_id: 'theirs', result: { type: 'canceled' } }))
  const result = new Result({ batch, customId: 'theirs', record: undefined, raw, last: true })
  t.equal(
    row(result),
    '{"response":null,"_batch":{"status":"canceled","custom_id":"theirs","batch_id":"msgbatch_1","attempt":1,"error":{"type":"canceled","message":"the batch was canceled before this request was answered"}}}\n',
  )
})

t.test('the fields can have other names, and the meta field can be left out', async t => {
  t.ok(
    mergedRow(said('x', '{"response":"mine"}'), { response: 'answer "1"', meta: 'm' })
      .toString()
      .startsWith('{"response":"mine","answer \\"1\\"":"x","m":{'),
  )
  t.equal(
    mergedRow(said('x', '{"_batch":1}'), { response: 'a/b', meta: undefined }).toString(),
    '{"_batch":1,"a/b":"x"}\n',
  )
  t.equal(
    mergedRow(said('x', '{"a\\/b":null}'), { response: 'a/b', meta: undefined }).toString(),
    '{"a/b":"x"}\n',
  )
  t.equal(
    mergedRow(without('rejected', '{"r":1}'), { response: 'r', meta: undefined }).toString(),
    '{"r":1}\n',
  )
  t.match(
    mergedRow(said('x', '{"_batch":1,"a":2}'), names).toString(),
    /^\{"a":2,"response":"x","_batch":\{"status"/,
    'an old meta field gives way also where it stands alone',
  )
})
