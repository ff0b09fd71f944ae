import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { Result as Made } from '../../../lib/core/results/result.ts'
import { answerCheck } from '../../../lib/core/schema/answer-check.ts'
import { responseJson } from '../../../lib/stages/write/answer.ts'
import { writeCsv } from '../../../lib/stages/write/csv.ts'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { textRow } from '../../../lib/stages/write/text.ts'
import { batch, message, record, without } from './made.ts'

const schema = {
  type: 'object',
  properties: {
    mood: { type: 'string' },
    tags: { type: 'array' },
    status: { type: ['number', 'null'] },
  },
  required: ['mood'],
}
const check = answerCheck(schema)

function answered(text: string, more = {}): Result {
  const result = message([{ type: 'text', text }], more)
  const raw = Buffer.from(JSON.stringify({ custom_id: 'r-1', result }))
  return new Made({
    batch,
    customId: 'r-1',
    record: record('{"id":"17"}'),
    raw,
    last: false,
    check,
  })
}

async function csv(...results: Result[]): Promise<string> {
  let text = ''
  for await (const bytes of each(from(results, writeCsv({ schema })))) text += bytes.toString()
  return text
}

const VALID = '{"mood":"good","tags":["a","b"],"status":1.5}'

void t.test('a row contains the JSON value, or null and the text of a violation', async t => {
  const row = jsonlRow()
  t.match(JSON.parse(row(answered(VALID)).toString()), { id: '17', response: JSON.parse(VALID) })
  t.match(JSON.parse(row(answered('{"mood":1}')).toString()), {
    response: null,
    _batch: { status: 'invalid', text: '{"mood":1}', error: { type: 'invalid_response' } },
  })
  t.equal(textRow(answered(VALID)).toString(), `${VALID}\n`)
  t.equal(textRow(answered('no')).toString(), '\n')
})

void t.test('an answer is copied as the model wrote it, on one line', async t => {
  const long =
    '{"mood": "good",\n "tags": [12345678901234567890, 1.0],\n "status": 9007199254740993}'
  const compact = '{"mood":"good","tags":[12345678901234567890,1.0],"status":9007199254740993}'
  const result = answered(long)
  t.equal(jsonlRow({ emit: 'response' })(result).toString(), `${compact}\n`)
  t.match(jsonlRow()(result).toString(), `"response":${compact},"_batch"`)
  const spread = jsonlRow({ spread: ['mood', 'tags', 'status', 'none'] })(result).toString()
  t.match(
    spread,
    '"mood":"good","tags":[12345678901234567890,1.0],"status":9007199254740993,"none":null',
  )
  t.equal(textRow(result).toString(), `${compact}\n`)
  t.equal(textRow(result, 'status').toString(), '9007199254740993\n')
  t.match(await csv(result), '17,good,"[12345678901234567890,1.0]",9007199254740993,succeeded,')
})

void t.test('the response of a row as JSON', async t => {
  t.equal(responseJson(answered(VALID)), VALID)
  t.equal(responseJson(answered('no')), 'null')
  t.equal(responseJson(answered('cut "', { stop_reason: 'max_tokens' })), '"cut \\""')
})

void t.test('a number that is infinite for JavaScript breaks the schema', async t => {
  t.equal(answered('{"mood":"good","status":1e999}').status, 'invalid')
})

void t.test('a table has one column for each property', async t => {
  t.equal(
    await csv(answered(VALID), answered('{"mood":"bad","status":null}')),
    'id,mood,tags,status,_status,error\n17,good,"[""a"",""b""]",1.5,succeeded,\n17,bad,,,succeeded,\n',
  )
})

void t.test('a failed row has empty cells, and its text in the error cell', async t => {
  const [, invalid, cut, rejected] = (
    await csv(
      answered('{"mood":1}'),
      answered('{"mo', { stop_reason: 'max_tokens' }),
      without('rejected'),
    )
  ).split('\n')
  t.match(invalid, /^17,,,,invalid,".*\/mood must be string \(answer: \{""mood"":1\}\)"$/)
  t.match(cut, /^17,,,,incomplete,".*max_tokens \(answer: \{""mo\)"$/)
  t.match(rejected, /^17,,,,rejected,/)
  t.match(await csv(answered('x'.repeat(2000))), /\(answer: x{1000}\.\.\.\)/)
})

void t.test('an answer without its own schema leaves the property columns empty', async t => {
  const raw = Buffer.from(
    JSON.stringify({ custom_id: 'r', result: message([{ type: 'text', text: 'x' }]) }),
  )
  const plain = new Made({ batch, customId: 'r', record: record('{"id":"1"}'), raw, last: true })
  t.match(await csv(plain), /\n1,,,,succeeded,\n$/)
})
