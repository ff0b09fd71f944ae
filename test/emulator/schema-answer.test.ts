import t from 'tap'
import { valueFor } from '../../lib/emulator/schema-answer.ts'

/** Answers to forty questions, to see the range of values. */
function answers(schema: unknown): unknown[] {
  return Array.from({ length: 40 }, (_, i) => valueFor(schema, `question ${i}`))
}

t.test('equal questions get equal answers, different ones different answers', async t => {
  const schema = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } } }
  t.same(valueFor(schema, 'x'), valueFor(schema, 'x'))
  t.ok(new Set(answers(schema).map(answer => JSON.stringify(answer))).size > 30)
})

t.test('every type', async t => {
  t.ok(answers({ type: 'string' }).every(value => typeof value === 'string' && value !== ''))
  t.ok(answers({ type: 'integer' }).every(value => Number.isInteger(value)))
  t.ok(answers({ type: 'number' }).every(value => typeof value === 'number'))
  t.same([...new Set(answers({ type: 'boolean' }))].sort(), [false, true])
  t.same(valueFor({ type: 'null' }, ''), null)
  t.same(valueFor({}, ''), null)
  t.same(valueFor(true, ''), null)
  t.same(valueFor({ const: 0 }, ''), 0)
  t.same([...new Set(answers({ enum: ['a', 'b', null] }))].sort(), ['a', 'b', null])
  t.type(valueFor({ type: ['null', 'integer'] }, ''), 'number')
  t.same(valueFor({ type: ['null'] }, ''), null)
})

t.test('objects have all of their properties, whatever their names', async t => {
  const properties = JSON.parse(
    '{"a":{"const":1},"__proto__":{"const":2},"constructor":{"type":"object","properties":{}}}',
  )
  const value = valueFor({ type: 'object', properties, required: ['a'] }, 'x')
  t.equal(JSON.stringify(value), '{"a":1,"__proto__":2,"constructor":{}}')
  t.same(valueFor({ properties: { a: { const: 1 } } }, ''), { a: 1 }, 'also without a type')
})

t.test('arrays keep to their size limits', async t => {
  const sizes = (more: object): number[] => {
    const found = answers({ type: 'array', items: { type: 'integer' }, ...more })
    return [...new Set(found.map(value => Object(value).length))].sort()
  }
  t.same(sizes({}), [1, 2])
  t.same(sizes({ minItems: 3 }), [3])
  t.same(sizes({ maxItems: 1 }), [1])
  t.same(valueFor({ type: 'array' }, ''), [])
  t.match(valueFor({ items: { const: 1 } }, ''), [1])
})

t.test('numbers and strings keep to their ranges', async t => {
  const inRange = (schema: object, good: (value: number) => boolean): void =>
    t.ok(
      answers(schema).every(value => good(Number(value))),
      JSON.stringify(schema),
    ) as unknown as void
  inRange({ type: 'integer', minimum: 5, maximum: 7 }, value => value >= 5 && value <= 7)
  inRange({ type: 'integer', exclusiveMinimum: 5, exclusiveMaximum: 7 }, value => value === 6)
  inRange({ type: 'integer', maximum: -3 }, value => value <= -3)
  inRange({ type: 'number', minimum: 0, maximum: 1 }, value => value >= 0 && value <= 1)
  inRange({ type: 'integer', multipleOf: 7 }, value => value % 7 === 0)
  inRange({ type: 'integer', minimum: 3, maximum: 3 }, value => value === 3)
  for (const text of answers({ type: 'string', minLength: 30 })) t.ok(String(text).length >= 30)
  for (const text of answers({ type: 'string', maxLength: 3 })) t.equal(String(text).length, 3)
})

t.test('strings have their format', async t => {
  t.match(valueFor({ type: 'string', format: 'date' }, ''), /^\d{4}-\d\d-\d\d$/)
  t.match(valueFor({ type: 'string', format: 'email' }, ''), /@/)
  t.match(valueFor({ type: 'string', format: 'uuid' }, ''), /^[0-9a-f-]{36}$/)
  t.match(valueFor({ type: 'string', format: 'constructor' }, ''), /^text /)
})

t.test('choices and references are resolved', async t => {
  const kinds = answers({
    anyOf: [{ const: 'a' }, { type: 'object', properties: { b: { const: 1 } } }],
  })
  t.same([...new Set(kinds.map(value => JSON.stringify(value)))].sort(), ['"a"', '{"b":1}'])
  t.same(valueFor({ oneOf: [{ const: 2 }] }, ''), 2)
  const both = {
    allOf: [{ $ref: '#/$defs/a' }, { properties: { y: { const: 2 } } }],
    $defs: { a: { type: 'object', properties: { x: { const: 1 } } } },
  }
  t.same(valueFor(both, ''), { x: 1, y: 2 })
  t.same(valueFor({ allOf: [{ type: 'null' }] }, ''), null)
  t.same(valueFor({ $ref: '#/$defs/none' }, ''), null)
})

t.test('a recursive schema is cut', async t => {
  const tree = {
    $ref: '#/$defs/node',
    $defs: {
      node: {
        type: 'object',
        properties: {
          name: { const: 'n' },
          children: { type: 'array', items: { $ref: '#/$defs/node' } },
        },
        required: ['name'],
      },
    },
  }
  t.ok(JSON.stringify(valueFor(tree, 'x')).length < 10_000)
  const list = { $ref: '#', anyOf: undefined }
  t.same(valueFor(list, 'x'), null)
  const chain = {
    $defs: {
      a: {
        anyOf: [{ type: 'object', properties: { next: { $ref: '#/$defs/a' } } }, { type: 'null' }],
      },
    },
    $ref: '#/$defs/a',
  }
  t.type(JSON.stringify(answers(chain)), 'string')
  const endless = {
    $defs: { a: { anyOf: [{ properties: { next: { $ref: '#/$defs/a' } } }] } },
    $ref: '#/$defs/a',
  }
  t.equal(JSON.stringify(valueFor(endless, 'x')), '{"next":'.repeat(4) + '{}' + '}'.repeat(4))
})
