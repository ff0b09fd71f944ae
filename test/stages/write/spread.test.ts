import t from 'tap'
import { Result } from '../../../lib/core/results/result.ts'
import { RowBytes } from '../../../lib/stages/write/row-bytes.ts'
import { spreadRows } from '../../../lib/stages/write/spread.ts'
import { answered, batch, message, said } from './made.ts'

const NAMES = { response: 'response', meta: '_batch' }
const row = (): RowBytes => new RowBytes()

void t.test('properties of an answer become fields, also without a record', t => {
  const rowOf = spreadRows(['mood'], { ...NAMES, meta: undefined }, row())
  t.equal(String(rowOf(said('{"mood":"good"}', '{"id":"17"}'))), '{"id":"17","mood":null}\n')
  const raw = Buffer.from(JSON.stringify({ custom_id: 'r-1', result: message([]) }))
  const foreign = new Result({ batch, customId: 'r-1', record: undefined, raw, last: false })
  t.equal(String(rowOf(foreign)), '{"mood":null}\n')
  t.end()
})

void t.test('a property named like the meta field is rejected', t => {
  t.throws(() => spreadRows(['_batch'], NAMES, row()), { code: 'CBS_OPTION', option: 'metaField' })
  t.end()
})

void t.test('a field of an earlier run is replaced, and one of the user ends the output', t => {
  const rowOf = spreadRows(['mood'], NAMES, row())
  const result = message([{ type: 'text', text: 'good' }])
  t.match(
    String(rowOf(answered(result, '{"mood":"bad","_batch":{"status":"invalid"}}'))),
    /^\{"mood":null,"_batch":\{"status":"succeeded"/,
  )
  t.throws(() => rowOf(answered(result, '{"mood":"mine"}')), {
    code: 'CBS_OUTPUT',
    message: /line 18 has a field "mood"/,
  })
  t.end()
})
