import t from 'tap'
import type { Field } from '../../../lib/core/field.ts'
import { compile, WHOLE } from '../../../lib/stages/template/compile.ts'
import { fieldsOf } from '../../../lib/stages/template/check-fields.ts'

const read = (text: string, vars?: Record<string, string>) =>
  compile(text, { name: 'prompt', vars }).parts.map(part =>
    typeof part === 'object' ? `<${part.name}>` : part === WHOLE ? '<@json>' : part,
  )

t.test('text without braces is one literal part', async t => {
  t.same(read('What is this?'), ['What is this?'])
  t.same(read(''), [])
})

t.test('fields are in double braces, and spaces inside them are trimmed', async t => {
  t.same(read('Is {{ review }} kind?'), ['Is ', '<review>', ' kind?'])
  t.same(read('{{a}}{{\n b \t}}'), ['<a>', '<b>'])
  t.same(read('{{Issue Text}}'), ['<Issue Text>'])
  t.same(read('{{@json}}'), ['<@json>'])
})

t.test('a field knows its path, its position and whether it is optional', async t => {
  const [first, second] = fieldsOf(compile('é😀 {{a.b.0}}\n {{note ?}}', { name: 'prompt' }))
  t.same(first, {
    name: 'a.b.0',
    bare: 'a.b.0',
    path: ['a', 'b', '0'],
    optional: false,
    line: 1,
    column: 4,
  })
  t.match(second, {
    name: 'note ?',
    bare: 'note',
    path: ['note'],
    optional: true,
    line: 2,
    column: 2,
  })
})

t.test('of consecutive braces the last two open and the first two close', async t => {
  t.same(read('\\textbf{{{name}}}'), ['\\textbf{', '<name>', '}'])
  t.same(read('{{{{a}}}}'), ['{{', '<a>', '}}'])
})

t.test('single braces and stray closing braces are text', async t => {
  t.same(read('{"a":{"b":1}} }} {x}'), ['{"a":{"b":1}} }} {x}'])
})

t.test('a name from JSON-LD that begins with @ is a field', async t => {
  t.same(read('{{@id}}'), ['<@id>'])
})

t.test('variables become text, and what looks like a field in them stays text', async t => {
  t.same(read('In {{$lang}}: {{text}}', { lang: 'French {{text}}' }), [
    'In French {{text}}: ',
    '<text>',
  ])
  t.same(read('{{ $ lang }}', { lang: '' }), [])
})

t.test('unclosed braces are an option error with line and column', async t => {
  for (const [text, line, column] of [
    ['{{review', 1, 1],
    ['one\ntwo {{review} three', 2, 5],
    ['{{a {{b}}', 1, 1],
    ['ok {{a}} {{', 1, 10],
  ] as const) {
    t.throws(
      () => read(text),
      {
        code: 'CBS_OPTION',
        message: `prompt template, line ${line}, column ${column}: these {{ are never closed by }}`,
        place: { line, column },
      },
      text,
    )
  }
})

t.test('a field without a name is an option error', async t => {
  for (const text of ['{{}}', '{{  }}', '{{?}}', '{{ ?}}']) {
    t.throws(
      () => read(text),
      { code: 'CBS_OPTION', message: /column 1: a field needs a name/ },
      text,
    )
  }
})

t.test('an unknown variable names the known ones and the nearest', async t => {
  t.throws(() => read('{{$langage}}', { language: 'fr', tone: 'dry' }), {
    code: 'CBS_OPTION',
    message:
      'prompt template, line 1, column 1: unknown variable {{$langage}} (did you mean "language"?); known are $language, $tone',
  })
  t.throws(() => read('{{$x}}'), { message: /unknown variable {{\$x}}; none is set/ })
  t.throws(() => read('{{$}}', { a: 'b' }), { message: /unknown variable {{\$}}/ })
})

t.test('inherited properties are not variables', async t => {
  t.throws(() => read('{{$constructor}}', {}), { code: 'CBS_OPTION' })
  t.throws(() => read('{{$__proto__}}', {}), { code: 'CBS_OPTION' })
})

t.test('the position of a field is that in the record', async t => {
  const fields: readonly Field[] = fieldsOf(compile('{{a}} {{@json}} {{b?}}', { name: 'id' }))
  t.same(
    fields.map(field => field.name),
    ['a', 'b?'],
  )
})

void t.test('a backslash makes braces text, and two of them mean one before a field', async t => {
  t.same(read('\\{{a}} {{b}}'), ['{{a}} ', '<b>'])
  t.same(read('x \\{{ y'), ['x {{ y'])
  t.same(read('C:\\\\{{dir}}'), ['C:\\', '<dir>'])
  t.same(read('\\\\\\{{a}}'), ['\\{{a}}'])
  t.same(read('{{a}}\\n'), ['<a>', '\\n'])
  t.same(read('\\textbf{{{a}}}'), ['\\textbf{', '<a>', '}'])
})

void t.test('a template of any number of fields takes linear time', async t => {
  const began = process.cpuUsage()
  const { parts } = compile('{{a}} é\n'.repeat(200_000), { name: 'prompt' })
  t.match(parts.at(-2), { name: 'a', line: 200_000, column: 1 })
  // Quadratic time would be an hour.
  t.ok(process.cpuUsage(began).user < 10_000_000)
})
