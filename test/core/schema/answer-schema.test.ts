import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import * as z from 'zod'
import { answerCheck } from '../../../lib/core/schema/answer-check.ts'
import { shapeOf } from '../../../lib/core/schema/answer-schema.ts'
import { outputFormat } from '../../../lib/core/schema/output-format.ts'

const Mood = z.object({ mood: z.enum(['good', 'bad']), stars: z.number().min(1) })

void t.test('a zod schema is sent as JSON Schema, and validates answers itself', async t => {
  const format = outputFormat(Mood)
  t.match(format, {
    type: 'json_schema',
    schema: { type: 'object', properties: { mood: { enum: ['good', 'bad'] } } },
  })
  const check = answerCheck(Mood)
  t.same(check('{"mood":"good","stars":2}'), {
    value: { mood: 'good', stars: 2 },
    output: { mood: 'good', stars: 2 },
  })
  t.match(check('{"mood":"fine","stars":2}'), { problem: { message: /\/mood must be/ } })
  t.match(check('{"mood":"good","stars":0}'), { problem: { type: 'invalid_response' } })
})

void t.test(
  'refinements and transforms of a zod schema apply, and the row keeps the JSON',
  async t => {
    const Dated = z.object({
      day: z.string().transform(text => new Date(text)),
      even: z.number().refine(n => n % 2 === 0, 'must be even'),
    })
    const check = answerCheck(Dated)
    t.same(check('{"day":"2026-01-02","even":2}'), {
      value: { day: '2026-01-02', even: 2 },
      output: { day: new Date('2026-01-02'), even: 2 },
    })
    t.match(check('{"day":"2026-01-02","even":3}'), {
      problem: { message: /\/even: must be even/ },
    })
  },
)

void t.test('the output formats of the SDK are schemas', async t => {
  const zod = zodOutputFormat(Mood)
  t.same(outputFormat(zod).schema, zod.schema, 'it is transformed already')
  t.match(answerCheck(zod)('{"mood":"good","stars":0}'), {
    problem: { message: /Failed to parse structured output/ },
  })
  const json = jsonSchemaOutputFormat({
    type: 'object',
    properties: { mood: { type: 'string' } },
    required: ['mood'],
    additionalProperties: false,
  })
  t.match(answerCheck(json)('{"mood":"good"}'), { output: { mood: 'good' } })
  t.match(answerCheck(json)('{"mood":1}'), { problem: { message: /\/mood must be string/ } })
})

void t.test('a JSON Schema of another realm is accepted', async t => {
  t.same(shapeOf(runInNewContext('({ type: "object" })')).schema, { type: 'object' })
  t.same(shapeOf(Object.assign(Object.create(null), { type: 'object' })).schema, {
    type: 'object',
  })
})

void t.test('anything else is rejected with what to pass instead', async t => {
  const refused = (given: unknown, message: RegExp): unknown =>
    t.throws(() => shapeOf(given), { code: 'CBS_OPTION', message })
  refused('text', /`schema` must be a JSON Schema as an object, .*zod 4\.2.*zodOutputFormat/)
  refused([], /must be a JSON Schema/)
  refused(null, /must be a JSON Schema/)
  refused(() => ({}), /must be a JSON Schema/)
  refused(new (class Old {})(), /must be a JSON Schema.*got \{"class":"Old"\}/)
  const old = { '~standard': { vendor: 'zod', version: 1, validate: () => ({ value: 1 }) } }
  refused(old, /this version of zod only validates\. Upgrade it/)
  const slow = {
    '~standard': {
      ...{ vendor: 'slow', version: 1 },
      jsonSchema: { input: () => ({}) },
      validate: async () => ({ value: 1 }),
    },
  }
  refused(slow, /synchronous/)
})

void t.test('a validator that throws decides about one answer', async t => {
  const check = answerCheck({
    '~standard': {
      ...{ vendor: 'strict', version: 1 },
      jsonSchema: { input: () => ({ type: 'object' }) },
      validate: (value: unknown) => {
        if (Object(value).fine !== true) throw new TypeError('it is not fine')
        return { value }
      },
    },
  })
  t.match(check('{"fine":true}'), { value: { fine: true } })
  t.match(check('{"fine":false}'), { problem: { message: /it is not fine/ } })
})

void t.test('a zod schema that throws or is async for one answer spoils that one only', async t => {
  const rejected: unknown[] = []
  const note = (why: unknown): unknown => rejected.push(why)
  process.on('unhandledRejection', note)
  const isHttps = (text: string): boolean => new URL(text).protocol === 'https:'
  for (const url of [
    z.string().refine(isHttps),
    z.string().transform(text => new URL(text).host),
    z.string().refine(text => text !== 'N/A' || Promise.resolve(false)),
  ]) {
    const check = answerCheck(z.object({ url }))
    t.match(check('{"url":"https://a.b/"}'), { value: { url: 'https://a.b/' } })
    t.match(check('{"url":"N/A"}'), { problem: { message: /it throws for this answer/ } })
  }
  const format = { type: 'json_schema', schema: {}, parse: () => Promise.reject(new Error('no')) }
  t.match(answerCheck(format)('{}'), { problem: { message: /`parse` returned a promise/ } })
  await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  t.same(rejected, [])
})

void t.test('a validator that returns nothing has not accepted an answer', async t => {
  for (const nothing of [undefined, null, {}]) {
    const check = answerCheck({
      '~standard': {
        ...{ vendor: 'own', version: 1 },
        jsonSchema: { input: () => ({ type: 'object' }) },
        validate: () => nothing,
      },
    })
    t.match(check('{}'), { problem: { message: /neither a value nor issues/ } })
  }
})

void t.test('issues without a path, and with keys as objects, become sentences', async t => {
  const saying = (issue: object): ReturnType<typeof answerCheck> =>
    answerCheck({
      '~standard': {
        ...{ vendor: 'own', version: 1 },
        jsonSchema: { input: () => ({ type: 'object' }) },
        validate: () => ({ issues: [issue] }),
      },
    })
  t.match(saying({ message: 'no' })('{}'), { problem: { message: /schema: it: no$/ } })
  t.match(saying({ message: 'no', path: [{ key: 'a' }, 0] })('{}'), {
    problem: { message: /\/a\/0: no$/ },
  })
})
