import t from 'tap'
import { answerCheck } from '../../../lib/core/schema/answer-check.ts'

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

void t.test('a valid answer becomes its value', async t => {
  t.same(answerCheck(schema)(' {"mood":"good","score":5}\n'), {
    value: { mood: 'good', score: 5 },
  })
  t.same(answerCheck({ type: 'null' })('null'), { value: null })
})

void t.test('an invalid answer names the place and the reason', async t => {
  const broken = 'the answer breaks the schema: '
  t.same(answerCheck(schema)('{"mood":"so"}'), {
    problem: {
      type: 'invalid_response',
      message: `${broken}/mood must be equal to one of the allowed values: "good", "bad"`,
    },
  })
  t.equal(why('{}'), `${broken}it must have required property 'mood'`)
  t.equal(why('{"mood":"good","score":6}'), `${broken}/score must be <= 5`)
  t.equal(why('{"mood":"go'), `${broken}it is not JSON`)
  t.equal(why(null), `${broken}it has no text`)
})

void t.test('each draft has its own rules', async t => {
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

void t.test('unknown keywords and formats are ignored without output', async t => {
  t.equal(why('"x"', { type: 'string', format: 'iban', 'x-note': 1 }), undefined)
})

void t.test('an invalid schema is rejected at once', async t => {
  for (const wrong of [null, [], 'x', undefined])
    t.throws(() => answerCheck(wrong), {
      code: 'CBS_OPTION',
      message: /`schema` must be a JSON Sch/,
    })
  t.throws(() => answerCheck({ type: 'strin' }), {
    code: 'CBS_OPTION',
    message: /the schema is invalid: /,
  })
})

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

void t.test('an answer that nests too deeply is invalid, whatever the schema', async t => {
  const tree = {
    $ref: '#/$defs/tree',
    $defs: { tree: { type: 'array', items: { $ref: '#/$defs/tree' } } },
  }
  for (const shape of [{ type: 'array' }, tree, {}]) {
    t.match(answerCheck(shape)(nested(999)), { value: [] })
    for (const depth of [1000, 4500, 200_000])
      t.match(why(nested(depth), shape), /breaks the schema: it nests deeper than 999 levels/)
  }
  t.match(why(`{"a":${nested(4500)}}`, { type: 'object' }), /nests deeper/)
  const brackets = JSON.stringify(nested(5000))
  t.equal(why(brackets, { type: 'string' }), undefined, 'brackets in a string are no levels')
})

void t.test('an answer with an expensive pattern is invalid after a second', async t => {
  const pattern = { type: 'string', pattern: '^(a+)+$' }
  t.equal(why('"aaa"', pattern), undefined)
  t.match(why('"b"', pattern), /must match pattern/)
  const began = performance.now()
  t.match(why(`"${'a'.repeat(60)}b"`, pattern), /takes longer than 1000 ms; simplify the schema/)
  t.ok(performance.now() - began < 5000)
  t.match(why('"b"', pattern), /must match pattern/, 'the next answer is checked as before')
})

void t.test('a recursive schema with many alternatives ends too', async t => {
  const either = { type: 'array', items: { anyOf: [{ $ref: '#' }, { $ref: '#' }] } }
  const deep = `${'['.repeat(60)}1${']'.repeat(60)}`
  t.match(why(deep, either), /takes longer than 1000 ms/)
})

void t.test('a check that throws makes only its own answer invalid', async t => {
  // Each level of the answer takes fifty calls, so the stack ends before the depth limit.
  const steps = Array.from({ length: 50 }, (_, at) => [
    `s${at}`,
    { type: 'array', allOf: [{ $ref: `#/$defs/s${at + 1}` }] },
  ])
  const $defs = { ...Object.fromEntries(steps), s50: { type: 'array', items: { $ref: '#' } } }
  const deep = { $ref: '#/$defs/s0', $defs }
  const checked = answerCheck(deep)
  t.match(checked(nested(999)), {
    problem: { message: /it cannot be checked: Maximum call stack/ },
  })
  t.same(checked('[[]]'), { value: [[]] })
})

void t.test('a reason is short, however long the answer is', async t => {
  const long = why(`{"${'k'.repeat(100_000)}":1}`, { additionalProperties: { type: 'string' } })
  t.ok(long && long.length < 600)
})
