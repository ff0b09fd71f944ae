import t from 'tap'
import { SourceRecord } from '../../../lib/core/flow.ts'
import { compile } from '../../../lib/stages/template/compile.ts'
import { isBlank, render } from '../../../lib/stages/template/render.ts'

const record = (json: string, source?: string) =>
  new SourceRecord(Buffer.from(json), { line: 18, source })
const fill = (text: string, json: string) => render(compile(text, { name: 'prompt' }), record(json))

t.test('strings are inserted unchanged, without escapes', async t => {
  t.equal(fill('<{{a}}>', '{"a":"\\"q\\" & \\n \\u00e9 \\u0000"}'), '<"q" & \n é \u0000>')
})

t.test('record text is never expanded again', async t => {
  t.equal(fill('{{a}} {{b}}', '{"a":"{{b}} {{$x}}","b":"{{a}}"}'), '{{b}} {{$x}} {{a}}')
})

t.test('numbers keep the digits of the source', async t => {
  t.equal(
    fill('{{a}} {{b}} {{c}} {{d.0}}', '{"a":12345678901234567890,"b":1.0,"c":-1E+2,"d":[0.10]}'),
    '12345678901234567890 1.0 -1E+2 0.10',
  )
})

t.test('true and false are inserted as words', async t => {
  t.equal(fill('{{a}} {{b}}', '{"a":true,"b":false}'), 'true false')
})

t.test('R06: a field that is null counts as missing', async t => {
  t.same(fill('T {{topic}}', '{"topic":null}'), {
    type: 'missing_field',
    message:
      'field "topic" of the prompt template is null on line 18; {{topic?}} would leave it empty',
  })
  t.match(fill('{{a.b}}', '{"a":{"b":null}}'), { type: 'missing_field' })
  t.equal(fill('T{{topic?}}{{a.b?}}', '{"topic":null,"a":{"b":null}}'), 'T')
})

t.test('objects and arrays are inserted as their own JSON, with order and spaces', async t => {
  t.equal(
    fill('{{a}} {{b}}', '{"a":{"z": 1.0,"2":3, "1":[ ]},"b":[1,"x"]}'),
    '{"z": 1.0,"2":3, "1":[ ]} [1,"x"]',
  )
})

t.test('@json is the whole record unchanged', async t => {
  t.equal(fill('R: {{@json}}', '{"b":1.0, "a":[2]}'), 'R: {"b":1.0, "a":[2]}')
})

t.test('paths select within objects and arrays', async t => {
  t.equal(fill('{{a.b.1.c}}', '{"a":{"b":[0,{"c":"deep"}]}}'), 'deep')
  t.equal(fill('{{a.}}', '{"a":{"":"empty key"}}'), 'empty key')
})

t.test(
  'a column whose whole name matches takes precedence over a path and over the optional mark',
  async t => {
    t.equal(fill('{{a.b}}', '{"a":{"b":"path"},"a.b":"column"}'), 'column')
    t.equal(fill('{{a.b}}', '{"a.b":1.0}'), '1.0')
    t.equal(fill('{{Is it good?}}', '{"Is it good?":"yes","Is it good":"no"}'), 'yes')
    t.equal(fill('{{a.b?}}', '{"a.b":"x"}'), 'x')
  },
)

t.test('of equal keys the last counts, as everywhere in JSON', async t => {
  t.equal(fill('{{a}} {{b}}', '{"a":1.0,"b":"x","a":2.0,"b":"y"}'), '2.0 y')
})

t.test('an optional field is empty if it is missing or null', async t => {
  t.equal(fill('[{{a?}}{{b.c?}}{{d?}}]', '{"d":null}'), '[]')
  t.equal(fill('[{{a?}}]', '{"a":0}'), '[0]')
})

t.test(
  'a missing field is a problem that names the field, its position and the nearest name',
  async t => {
    t.same(
      render(
        compile('Is {{reviw}} kind?', { name: 'prompt' }),
        record('{"review":"x"}', 'a.jsonl'),
      ),
      {
        type: 'missing_field',
        message:
          'field "reviw" of the prompt template is missing on line 18 of a.jsonl (did you mean "review"?); {{reviw?}} would leave it empty',
      },
    )
    t.match(fill('{{x}}', '{"review":"x"}'), { message: /missing on line 18; / })
  },
)

t.test('I11: __proto__, constructor and toString are plain columns', async t => {
  t.equal(
    fill(
      '{{__proto__}}|{{constructor}}|{{toString}}',
      '{"__proto__":"p","constructor":1.0,"toString":"t"}',
    ),
    'p|1.0|t',
  )
  for (const name of [
    '__proto__',
    'constructor',
    'toString',
    'a.length',
    'a.constructor',
    's.0',
    's.length',
    'a.01',
    'a.-1',
    'a.3',
  ]) {
    t.match(fill(`{{${name}}}`, '{"a":[1,2,3],"s":"text"}'), { type: 'missing_field' }, name)
  }
})

t.test('fields that a record has besides its bytes are rendered', async t => {
  const made = new SourceRecord(Buffer.from('{}'), { line: 1, fields: { n: 5, o: { a: [1] } } })
  t.equal(render(compile('{{n}} {{o}} {{o.a.0}}', { name: 'prompt' }), made), '5 {"a":[1]} 1')
})

t.test('a prompt of spaces is empty', async t => {
  t.ok(isBlank(' \n\t\u00a0'))
  t.notOk(isBlank(' .'))
})
