import t from 'tap'
import { FieldSet, MAX_FIELDS } from '../../lib/store/fields.ts'
import { record } from '../support/jobs.ts'

t.test('fields come in order of first appearance', async t => {
  const fields = new FieldSet(['id'])
  fields.add(record('{"b":1,"10":2,"a\\u0062":3}'))
  fields.add(record('{"b":1,"__proto__":2,"id":3,"b":4}'))
  fields.add(record({ input: 'junk' }, 3, { problem: { type: 'bad_record', message: 'bad' } }))
  t.same(fields.names, ['id', 'b', '10', 'ab', '__proto__'])
})

t.test('fields are limited by their number and the bytes of their names', async t => {
  const fields = new FieldSet()
  for (let n = 0; n < MAX_FIELDS; n++) fields.add(record({ [`f${n}`]: n }))
  t.equal(fields.names.length, MAX_FIELDS)
  t.throws(() => fields.add(record({ more: 1 })), {
    code: 'CBS_OUTPUT',
    message: /^the records have more than 1000 different fields.*`columns` of the writer/,
  })
  const long = new FieldSet()
  long.add(record({ ['x'.repeat(399_000)]: 1 }))
  t.throws(() => long.add(record({ ['\u0001'.repeat(200)]: 1 })), {
    code: 'CBS_OUTPUT',
    message: /field names of more than 400000 bytes in total/,
  })
})

t.test('more columns are allowed if they are known from the start', async t => {
  const known = Array.from({ length: 2 * MAX_FIELDS }, (_, n) => `f${n}`)
  const fields = new FieldSet(known)
  fields.add(record(Object.fromEntries(known.map(name => [name, '']))))
  t.same(fields.names, known)
})
