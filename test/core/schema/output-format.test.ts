import t from 'tap'
import { outputFormat } from '../../../lib/core/schema/output-format.ts'

void t.test('a schema is transformed as the API needs it', async t => {
  const schema = {
    type: 'object',
    properties: { n: { type: 'integer', minimum: 1 }, o: { oneOf: [{ type: 'null' }] } },
  }
  const before = structuredClone(schema)
  t.match(outputFormat(schema), {
    type: 'json_schema',
    schema: {
      type: 'object',
      properties: {
        n: { type: 'integer', description: /minimum/ },
        o: { anyOf: [{ type: 'null' }] },
      },
      additionalProperties: false,
    },
  })
  t.same(schema, before)
})

void t.test('an unsupported schema is rejected with the reason', async t => {
  t.throws(() => outputFormat({ properties: {} }), {
    code: 'CBS_OPTION',
    message: /the API does not support this schema: .*type/,
  })
  t.throws(() => outputFormat([]), { code: 'CBS_OPTION' })
})
