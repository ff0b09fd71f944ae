import t from 'tap'
import { checkFields, fieldsOf } from '../../../lib/stages/template/check-fields.ts'
import { compile } from '../../../lib/stages/template/compile.ts'

const read = (text: string) => compile(text, { name: 'prompt' })

t.test('I21: an unknown field is reported with line, column and the nearest name', async t => {
  t.throws(() => checkFields(read('Rate this:\n  {{reveiw}}'), ['id', 'review']), {
    code: 'CBS_INPUT',
    message:
      'prompt template, line 2, column 3: the input has no column "reveiw" (did you mean "review"?); it has "id", "review"',
    place: { line: 2, column: 3 },
  })
})

t.test('existing columns, optional fields and the whole record are valid', async t => {
  t.doesNotThrow(() =>
    checkFields(read('{{a}} {{b?}} {{c d}} {{@json}} {{e.f}} {{Good?}}'), [
      'a',
      'c d',
      'e.f',
      'Good?',
    ]),
  )
})

t.test('cells are text, so a path into one is invalid', async t => {
  t.throws(() => checkFields(read('{{a.b}}'), ['a']), {
    code: 'CBS_INPUT',
    message: /no column "a.b"/,
  })
})

t.test('inherited properties are not columns', async t => {
  t.throws(() => checkFields(read('{{constructor}}'), ['a']), { code: 'CBS_INPUT' })
})

t.test('the fields of a template are listed in order of occurrence', async t => {
  t.same(
    fieldsOf(read('{{b}} {{a?}} {{b}} {{@json}}')).map(field => field.name),
    ['b', 'a?', 'b'],
  )
})
