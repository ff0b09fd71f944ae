import { inspect } from 'node:util'
import t from 'tap'
import { SourceRecord, type EndedBatch } from '../../../lib/core/flow.ts'
import { Result, type ResultParts } from '../../../lib/core/results/result.ts'

// A result reads the id and the attempt of its batch alone.
const batch = { id: 'msgbatch_1', attempt: 2 } as EndedBatch

function result(line: object | null, without?: ResultParts['without']): Result {
  const raw = line && Buffer.from(JSON.stringify({ custom_id: 'a', result: line }))
  return new Result({
    batch,
    customId: 'a',
    record: undefined,
    raw,
    last: false,
    ...(without && { without }),
  })
}

const message = (more: object): object => ({
  type: 'succeeded',
  message: {
    model: 'm',
    content: [],
    stop_reason: 'end_turn',
    usage: { input_tokens: 1 },
    ...more,
  },
})

void t.test('the texts of an answer are joined, whatever is between them', async t => {
  const content = [
    { type: 'thinking', thinking: 'hm' },
    { type: 'text', text: 'a' },
    { type: 'tool_use' },
    { type: 'text', text: 'b' },
  ]
  const one = result(message({ content }))
  t.match(one, {
    status: 'succeeded',
    response: 'ab',
    stopReason: 'end_turn',
    model: 'm',
    usage: { input_tokens: 1 },
    error: null,
    batchId: 'msgbatch_1',
    attempt: 2,
  })
})

void t.test(
  'a reused answer without token counts is not free of cost: its usage is unknown',
  async t => {
    const line = {
      type: 'succeeded',
      message: { model: 'm', content: [], stop_reason: 'end_turn' },
    }
    const raw = Buffer.from(JSON.stringify({ custom_id: 'a', result: line }))
    const reused = { raw, job: 'monday', batchId: 'msgbatch_0', customId: 'a', attempt: 1 }
    const given = { batch, customId: null, record: undefined, raw, last: false }
    t.match(new Result({ ...given, reused }), { usage: null, savedUsage: {}, reused: 'monday' })
    t.equal(new Result(given).savedUsage, null)
  },
)

void t.test('an answer without text has no response', async t => {
  t.equal(result(message({})).response, null)
  t.equal(result(message({})).value, '', 'without a schema the value of a full answer is its text')
  t.equal(result(message({ content: [{ type: 'tool_use' }] })).response, null)
  t.match(result({ type: 'succeeded', message: { content: [] } }), {
    response: null,
    stopReason: null,
    model: null,
    usage: null,
    status: 'succeeded',
  })
})

for (const [name, one, status, error] of [
  [
    'cut by max_tokens',
    result(message({ stop_reason: 'max_tokens' })),
    'incomplete',
    { type: 'incomplete', message: /reached max_tokens/ },
  ],
  [
    'paused',
    result(message({ stop_reason: 'pause_turn' })),
    'incomplete',
    { message: /stop_reason is pause_turn/ },
  ],
  [
    'refused with a reason',
    result(message({ stop_reason: 'refusal', stop_details: { explanation: 'no bombs' } })),
    'refused',
    { type: 'refusal', message: 'the model refused: no bombs' },
  ],
  [
    'refused with a category',
    result(message({ stop_reason: 'refusal', stop_details: { category: 'bio' } })),
    'refused',
    { message: /category bio/ },
  ],
  [
    'refused without a word',
    result(message({ stop_reason: 'refusal' })),
    'refused',
    { message: /no reason given/ },
  ],
  [
    'errored',
    result({
      type: 'errored',
      error: { type: 'error', error: { type: 'api_error', message: 'oops' } },
    }),
    'errored',
    { type: 'api_error', message: 'oops' },
  ],
  [
    'errored over images',
    result({
      type: 'errored',
      error: {
        error: {
          type: 'invalid_request_error',
          message: 'too large',
          details: {
            error_code: 'image_dimensions_too_large',
            paths: ['messages.0.content.1', 'messages.2.content.0', 3],
          },
        },
      },
    }),
    'errored',
    { message: 'too large (messages.0.content.1, messages.2.content.0)' },
  ],
  [
    'errored without a word',
    result({ type: 'errored' }),
    'errored',
    { type: 'unknown_error', message: 'the API gave no reason' },
  ],
  [
    'whose error is nested once',
    result({ type: 'errored', error: { type: 'overloaded_error', message: 'busy' } }),
    'errored',
    { type: 'overloaded_error', message: 'busy' },
  ],
  [
    'whose error is a text',
    result({ type: 'errored', error: 'busy' }),
    'errored',
    { type: 'unknown_error', message: 'busy' },
  ],
  [
    'whose error says nothing',
    result({ type: 'errored', error: { type: 'error' } }),
    'errored',
    { type: 'unknown_error', message: 'the API gave no reason' },
  ],
  [
    'that ended for a reason of another API',
    result(message({ stop_reason: 'length' })),
    'incomplete',
    { type: 'incomplete', message: 'the answer was cut: stop_reason is length' },
  ],
  [
    'of a new type',
    result({ type: 'postponed' }),
    'errored',
    { type: 'unknown_result_type', message: /postponed/ },
  ],
  [
    'whose message is null',
    result({ type: 'succeeded', message: null }),
    'errored',
    { type: 'unknown_message', message: /succeeded, and its message has no list of content/ },
  ],
  [
    'whose content is no list',
    result(message({ content: 'yes' })),
    'errored',
    { type: 'unknown_message' },
  ],
  [
    'expired',
    result({ type: 'expired' }),
    'expired',
    { type: 'expired', message: /expired before/ },
  ],
  [
    'canceled',
    result({ type: 'canceled' }),
    'canceled',
    { type: 'canceled', message: /canceled before/ },
  ],
] as const) {
  void t.test(`a record ${name} is ${status}, and says why`, async t => {
    t.match(one, { status, error })
  })
}

void t.test(
  'a record without a line has a reason, and names its batch only if it was sent',
  async t => {
    const problem = { type: 'x', message: 'y' }
    t.match(result(null, { status: 'rejected', problem }), {
      status: 'rejected',
      error: problem,
      batchId: null,
      response: null,
    })
    t.match(result(null, { status: 'unanswered', problem }), {
      status: 'unanswered',
      error: problem,
      batchId: 'msgbatch_1',
    })
  },
)

void t.test(
  'a line without a type, and a missing line, count as errored, never as success',
  async t => {
    const made = (raw: Buffer | null): Result =>
      new Result({ batch, customId: 'a', record: undefined, raw, last: false })
    for (const one of [made(Buffer.from('{"custom_id":"a","result":{}}')), made(null)]) {
      t.equal(one.status, 'errored')
      t.equal(one.response, null)
      t.match(one.error, { type: 'unknown_result_type', message: String })
    }
  },
)

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

/** A result whose line is this JSON text. */
function lineOf(json: string): Result {
  const raw = Buffer.from(`{"custom_id":"a","result":${json}}`)
  return new Result({ batch, customId: 'a', record: undefined, raw, last: false })
}

void t.test('the message of an error is a string, whatever its type', async t => {
  const error = (inner: string): Result['error'] =>
    lineOf(`{"type":"errored","error":${inner}}`).error
  for (const [inner, type, message] of [
    ['{"error":{"type":{"a":1},"message":["no", 2]}}', '{"a":1}', '["no", 2]'],
    ['{"error":{"type":7,"message":false}}', '7', 'false'],
    ['{"error":{"type":null,"message":null}}', 'unknown_error', 'the API gave no reason'],
    ['{"error":"overloaded"}', 'unknown_error', 'the API gave no reason'],
    ['{"error":[1]}', 'unknown_error', 'the API gave no reason'],
    ['"gone"', 'unknown_error', 'gone'],
    ['{"error":{"type":"x","message":"a\\u0062c"}}', 'x', 'abc'],
  ] as const)
    t.same(error(inner), { type, message }, inner)
  const nested = error(`{"error":{"type":"x","message":${deep(100_000)}}}`)
  t.equal(nested?.message, `${'['.repeat(1000)}…`)
})

void t.test('the message of a refusal is a string, whatever its type', async t => {
  const said = (details: string): unknown =>
    lineOf(
      `{"type":"succeeded","message":{"content":[],"stop_reason":"refusal","stop_details":${details}}}`,
    ).error?.message
  t.equal(said('{"explanation":{"en":"no"}}'), 'the model refused: {"en":"no"}')
  t.equal(said('{"explanation":null,"category":["bio"]}'), 'the model refused: category ["bio"]')
  t.equal(said('"no"'), 'the model refused: no reason given')
  t.equal(said(`{"explanation":"${'x'.repeat(5000)}"}`), `the model refused: ${'x'.repeat(1000)}…`)
})

void t.test('unreadable content never looks like an empty answer', async t => {
  for (const content of [
    '["hello"]',
    '[{"type":"text","text":"a"},null]',
    '[{"type":"text","text":{"a":1}}]',
    '[[1]]',
    '[{"type":"text"}]',
    '[{"type":"text","text":null}]',
    '[{"type":"text","text":"a"},{"type":"text"}]',
    '[{"text":"a"}]',
    '[{"type":5,"text":"a"}]',
    '[{}]',
  ]) {
    const one = lineOf(`{"type":"succeeded","message":{"content":${content},"usage":{}}}`)
    t.match(one, { status: 'errored', error: { type: 'unknown_message' } }, content)
  }
})

void t.test('a model, stop reason or usage of the wrong type is ignored', async t => {
  const one = lineOf(
    '{"type":"succeeded","message":{"content":[],"model":{"a":1},"stop_reason":["end_turn"],"usage":[1]}}',
  )
  t.match(one, { status: 'succeeded', model: null, stopReason: null, usage: null, error: null })
  t.equal(lineOf('{"type":"succeeded","message":{"content":[],"usage":"1"}}').usage, null)
})

void t.test('JSON and the console show what a result is, and nothing of its job', t => {
  const record = new SourceRecord(Buffer.from('{"id":5}'), { line: 3, source: 'a.jsonl' })
  const raw = Buffer.from(
    JSON.stringify({
      custom_id: 'a',
      result: message({ content: [{ type: 'text', text: 'good' }] }),
    }),
  )
  const job = { costOf: () => 0.5 }
  // A result reads these members alone.
  const own = { ...batch, job } as unknown as EndedBatch
  const one = new Result({ batch: own, customId: 'a', record, raw, last: true })
  const shown = {
    record: { line: 3, source: 'a.jsonl', fields: { id: 5 } },
    ...{ status: 'succeeded', value: 'good', response: 'good', error: null },
    ...{ stopReason: 'end_turn', model: 'm', usage: { input_tokens: 1 }, cost: 0.5 },
    ...{ customId: 'a', batchId: 'msgbatch_1', attempt: 2, repeat: false, reused: null },
  }
  t.strictSame(JSON.parse(JSON.stringify(one)), shown)
  t.equal(inspect(one), inspect(shown))
  const broken = new SourceRecord(Buffer.from('{}'), {
    line: 1,
    source: undefined,
    problem: { type: 'invalid_json', message: 'no' },
  })
  t.equal(inspect(broken), inspect(broken.toJSON()))
  t.strictSame(JSON.parse(JSON.stringify(broken)), {
    ...{ line: 1, fields: {}, problem: { type: 'invalid_json', message: 'no' } },
  })
  const rejected = new Result({
    ...{ batch: own, customId: null, record: undefined, raw: null, last: true },
    without: { status: 'rejected', problem: { type: 'x', message: 'y' } },
  })
  t.match(JSON.parse(JSON.stringify(rejected)), { status: 'rejected', error: { type: 'x' } })
  t.end()
})
