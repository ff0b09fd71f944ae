import t from 'tap'
import { answerCheck } from '../../lib/schema/answer-check.ts'

const schema = {
  type: 'object',
  properties: {
    mood: { enum: ['good', 'bad'] },
    score: { type: 'integer', minimum: 1, maximum: 5 },
  },
  required: ['mood'],
  additionalProperties: false,
}

const why = (text: string | null, of: object = schema): string | undefined => {
  const checked = answerCheck(of)(text)
  return 'problem' in checked ? checked.problem.message : undefined
}

void t.test('an answer of the schema is its value', async t => {
  t.same(answerCheck(schema)(' {"mood":"good","score":5}\n'), {
    value: { mood: 'good', score: 5 },
  })
  t.same(answerCheck({ type: 'null' })('null'), { value: null })
})

void t.test('an answer that breaks it says where and how', async t => {
  const broken = 'the answer breaks the schema: '
  t.same(answerCheck(schema)('{"mood":"so"}'), {
    problem: {
      type: 'invalid_response',
      message: `${broken}/mood must be equal to one of the allowed values: "good", "bad"`,
    },
  })
  t.equal(why('{}'), `${broken}it must have required property 'mood'`)
  t.equal(why('{"mood":"good","score":6}'), `${broken}/score must be <= 5`)
  t.equal(why('{"mood":"go'), `${broken}it is no JSON`)
  t.equal(why(null), `${broken}it has no text`)
})

void t.test('each draft is read by its own rules', async t => {
  const pair = { type: 'array', prefixItems: [{ type: 'string' }] }
  t.match(why('[1]', pair), /\/0 must be string/)
  t.match(
    why('[1]', { ...pair, $schema: 'https://json-schema.org/draft/2020-12/schema' }),
    /string/,
  )
  const old = { $schema: 'http://json-schema.org/draft-07/schema#' }
  t.equal(why('[1]', { ...pair, ...old }), undefined)
  t.match(why('[1]', { ...old, type: 'array', items: [{ type: 'string' }] }), /\/0 must be string/)
})

void t.test(
  'a keyword or a format that nobody knows decides nothing, and prints nothing',
  async t => {
    t.equal(why('"x"', { type: 'string', format: 'iban', 'x-note': 1 }), undefined)
  },
)

void t.test('what is no schema is refused at once', async t => {
  for (const wrong of [null, [], 'x', undefined])
    t.throws(() => answerCheck(wrong), {
      code: 'CBS_OPTION',
      message: /`schema` must be a JSON Sch/,
    })
  t.throws(() => answerCheck({ type: 'strin' }), {
    code: 'CBS_OPTION',
    message: /the schema is wrong: /,
  })
})
