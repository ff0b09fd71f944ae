import t from 'tap'
import { propertiesOf } from '../../../lib/stages/write/csv.ts'

void t.test('an object schema lists its properties in order', async t => {
  t.same(propertiesOf({ type: 'object', properties: { b: {}, a: {} } }), ['b', 'a'])
})

void t.test('any other schema has none', async t => {
  for (const schema of [
    undefined,
    { type: 'array', properties: { a: {} } },
    { type: 'object' },
    { type: 'object', properties: {} },
    { type: 'object', properties: null },
    { anyOf: [{ type: 'object', properties: { a: {} } }] },
  ])
    t.equal(propertiesOf(schema), undefined)
})
