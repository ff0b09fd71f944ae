// Requests that are made of bytes are those that are made of objects.
import fc from 'fast-check'
import t from 'tap'
import { SourceRecord } from '../../../lib/core/flow.ts'
import { wellFormedJson } from '../../../lib/core/json/well-formed.ts'
import { RecordPageBuilder, type RecordPage } from '../../../lib/core/record-page.ts'
import { RequestPage } from '../../../lib/core/request-page.ts'
import { plainRequests, requestsOf } from '../../../lib/stages/template/plain-request.ts'
import { requestMaker, type AnyTemplateOptions } from '../../../lib/stages/template/template.ts'
import { record } from '../../support/jobs.ts'

function pageOf(lines: readonly (string | Buffer)[]): RecordPage {
  const builder = new RecordPageBuilder()
  for (const [at, line] of lines.entries()) builder.add(record(String(line), at + 1))
  return builder.take()
}

/** What stands behind the custom_id of each request, or what is given for a record alone. */
function made(lines: readonly string[], options: AnyTemplateOptions): unknown[] {
  const plain = plainRequests(options)
  if (!plain) return ['no pages']
  return [...requestsOf(pageOf(lines), plain, requestMaker(options))].flatMap(one => {
    if (!(one instanceof RequestPage)) return [tell(one)]
    return Array.from({ length: one.count }, (_, index) => {
      const bytes = Buffer.alloc(one.sizeOf(index))
      one.write(index, bytes, 0)
      return `bytes ${bytes}`
    })
  })
}

function tell(one: ReturnType<ReturnType<typeof requestMaker>>): string {
  return 'params' in one ? paramsOf(one) : `problem ${one.problem.type} ${one.problem.message}`
}

const paramsOf = ({ params }: { params: unknown }): string => `,"params":${wellFormedJson(params)}}`

/** The same by way of objects. */
function wanted(lines: readonly string[], options: AnyTemplateOptions): string[] {
  const requestOf = requestMaker(options)
  return lines.map((line, at) => tell(requestOf(record(line, at + 1))))
}

const withoutHow = (one: unknown): string => String(one).replace(/^bytes /, '')

const PLAIN = [
  '{"a":"x","b":"y"}',
  '{"b": "é😀\u2028", "a": "say \\"hi\\"\\n\\\\"}',
  '{"a":1,"b":-2.50e+3,"c":null}',
  '{"a":true,"b":"","d":"\\u00e9\\/"}',
]

const UNUSUAL = [
  '{"a":"\\u00e9","b":"y"}',
  '{"a":"\\ud83d","b":"y"}',
  '{"a":"x","b":null}',
  '{"a":"x"}',
  '{"a":"x","b":"y","a":"z"}',
  '{"a":"x","b":"y","c":[1]}',
  '{"a":{"x":1},"b":"y"}',
  '{ "a":"x","b":"y"}',
  '{"a" :"x","b":"y"}',
  '{"\\u0061":"x","b":"y"}',
  '{"a":"x","b":"y","response":"z"}',
  '{"a":"x","b":"y","_batch":{"status":"errored"}}',
  '{"a":"x","b":"y","response":null,"_batch":{"status":"errored"}}',
]

const PROMPT: AnyTemplateOptions = { prompt: 'A {{a}}: "{{b}}"\n' }

void t.test('plain records are inserted into bytes that were serialized once', async t => {
  for (const [at, line] of PLAIN.entries()) {
    const [bytes] = made([line], PROMPT)
    t.equal(bytes, `bytes ${wanted([line], PROMPT)[0]}`, `record ${at}`)
  }
})

void t.test(
  'every unusual record is left to the parser, and the others keep their order',
  async t => {
    for (const line of UNUSUAL) t.same(made([line], PROMPT), wanted([line], PROMPT), line)
    const mixed = PLAIN.flatMap((line, at) => [line, ...UNUSUAL.slice(at * 3, at * 3 + 3)])
    t.same(made(mixed, PROMPT).map(withoutHow), wanted(mixed, PROMPT))
  },
)

void t.test('a record that is not JSON fails as it does alone', async t => {
  for (const line of [
    '{"a":"x","b":"y"',
    '{"a":"x","b":01}',
    '{"a":"x\u0001","b":"y"}',
    '{"a":"x","b":nul}',
    '{"a":"\\x","b":""}',
    '[]x',
    '{"a":"\\u12g4","b":""}',
    '{"a":"x","b":"y"} ,',
  ])
    t.throws(() => made([line], PROMPT), SyntaxError, line)
})

void t.test('text shared by all requests is part of the bytes', async t => {
  for (const options of [
    {
      system: 'Be brief. é',
      model: 'claude-opus-4-5',
      maxTokens: 7,
      params: { metadata: { user_id: 'u' } },
    },
    { cache: true, system: 'x'.repeat(20_000) },
    {
      schema: {
        type: 'object',
        properties: { a: { type: 'string' } },
        required: ['a'],
        additionalProperties: false,
      },
    },
    { metaField: 'c', responseField: ['x', 'y'] },
    { responseField: false },
    { vars: { v: 'é "{{a}}"' }, prompt: '{{$v}} {{a}}{{b}}{{a}}' },
  ] as const) {
    const all = { ...PROMPT, ...options }
    t.same(made([...PLAIN, ...UNUSUAL], all).map(withoutHow), wanted([...PLAIN, ...UNUSUAL], all))
    t.match(made(PLAIN.slice(0, 1), all), [/^bytes/])
  }
})

void t.test('a field that makes a record unusual is found whatever its name', async t => {
  const lines = ['{"a":"x","b":"y","say \\"hi\\"":1}', '{"a":"x","b":"y","é":1}']
  const options = { ...PROMPT, responseField: ['say "hi"', 'é'] }
  t.same(made(lines, options), wanted(lines, options))
})

void t.test('a prompt without text of its own is empty for blank fields', async t => {
  const lines = [
    '{"a":" x"}',
    '{"a":""}',
    '{"a":"  "}',
    '{"a":"\\n"}',
    '{"a":"\u00a0"}',
    '{"a":7}',
    '{"a":"x"}',
  ]
  const options = { prompt: ' {{a}}\n' }
  t.same(made(lines, options).map(withoutHow), wanted(lines, options))
  t.same(
    made(lines, options).map(one => String(one).startsWith('bytes')),
    [false, false, false, false, false, true, true],
  )
})

void t.test('if more than the text of fields differs, there are no pages', async t => {
  for (const options of [
    {},
    { prompt: () => 'x' },
    { prompt: 'constant' },
    { prompt: '{{a?}}' },
    { prompt: '{{a.b}}' },
    { prompt: '{{@json}} {{a}}' },
    { prompt: '{{response}}' },
    { prompt: 'half \ud83d{{a}}' },
    { prompt: '{{a}}', id: '{{b}}' },
    { prompt: '{{a}}', system: '{{b}}' },
    { prompt: '{{a}}', model: () => 'm' },
    { prompt: '{{a}}', attach: '{{b}}' },
    { ready: true },
    { prompt: '{{a}}', system: 'field-4c0b7b1e9d3f4a6f' },
  ])
    t.same(made(PLAIN, options), ['no pages'], JSON.stringify(options))
})

const text = fc.string({
  unit: fc.constantFrom(
    'a',
    ' ',
    '"',
    '\\',
    '\n',
    '\u0001',
    'é',
    '😀',
    '{{a}}',
    ':',
    ',',
    '}',
    '/',
  ),
})
const value = fc.oneof(text, fc.integer(), fc.double(), fc.constantFrom(null, true, [1], { a: 1 }))
const fields = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'a b', '_batch', 'response'), value)
const lines = fc.array(
  fc.tuple(fields, fc.boolean()).map(([one, isSpaced]) => {
    const json = JSON.stringify(one)
    return isSpaced ? json.replaceAll('":', '": ').replaceAll(',"', ', "') : json
  }),
  { minLength: 1, maxLength: 20 },
)

void t.test('the requests are the same for any records', async t => {
  const prompts = fc.constantFrom('{{a}}', 'A: {{a}} {{b}}', '{{c}}{{a b}}"', 'x {{a}}')
  const same = fc.property(lines, prompts, (records, prompt) => {
    // Such a replacement may change a text, but never makes it invalid JSON.
    t.same(made(records, { prompt }).map(withoutHow), wanted(records, { prompt }))
  })
  fc.assert(same, { numRuns: 1000, seed: 20261128 })
})

void t.test('a page that is not UTF-8 is left to the parser', async t => {
  const builder = new RecordPageBuilder()
  const bytes = Buffer.from('{"a":"?","b":"y"}')
  bytes[6] = 0xff
  builder.add(new SourceRecord(bytes, { line: 1 }))
  const plain = plainRequests(PROMPT)
  const [asked] = [
    ...requestsOf(builder.take(), plain as NonNullable<typeof plain>, requestMaker(PROMPT)),
  ]
  t.notOk(asked instanceof RequestPage)
})

void t.test('the items of a page are its requests', async t => {
  const plain = plainRequests(PROMPT) as NonNullable<ReturnType<typeof plainRequests>>
  const [page] = [...requestsOf(pageOf(PLAIN.slice(0, 2)), plain, requestMaker(PROMPT))]
  t.ok(page instanceof RequestPage)
  t.same(
    [...(page as RequestPage)].map(one => tell(one)),
    wanted(PLAIN.slice(0, 2), PROMPT),
  )
  t.equal((page as RequestPage).ordinal, undefined)
})
