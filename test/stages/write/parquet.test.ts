import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import t from 'tap'
import { Result } from '../../../lib/core/results/result.ts'
import { answerCheck } from '../../../lib/core/schema/answer-check.ts'
import { layOutColumns } from '../../../lib/stages/write/columns.ts'
import { FieldKinds, parquetColumns } from '../../../lib/stages/write/parquet-columns.ts'
import { loadReader } from '../../../lib/stages/parse/parquet.ts'
import { loadParquetWriter, ParquetFile } from '../../../lib/stages/write/parquet.ts'
import { batch, message, record, said, without } from './made.ts'

const NAMES = { response: 'response', meta: '_batch' }

function kindOf(...values: string[]): string {
  const kinds = new FieldKinds()
  for (const value of values) kinds.add(record(`{"v":${value}}`))
  return kinds.of('v')
}

void t.test('the type of a column holds all its values exactly', t => {
  t.equal(kindOf(), 'STRING')
  t.equal(kindOf('null'), 'STRING')
  t.equal(kindOf('1', '-5', 'null', '0'), 'INT64')
  t.equal(kindOf('9223372036854775807', '-9223372036854775808'), 'INT64')
  t.equal(kindOf('9223372036854775808'), 'STRING')
  t.equal(kindOf('9223372036854775809'), 'STRING')
  t.equal(kindOf('1', '0.5'), 'DOUBLE')
  t.equal(kindOf('0.1', '1e300', '-0', '0.0', '123456789012345e-20'), 'DOUBLE')
  t.equal(kindOf('0.1234567890123456789'), 'STRING')
  t.equal(kindOf('9007199254740993', '0.5'), 'STRING', 'neither type holds both')
  t.equal(kindOf('1e-400'), 'STRING')
  t.equal(kindOf('true', 'false'), 'BOOLEAN')
  t.equal(kindOf('true', '1'), 'STRING')
  t.equal(kindOf('1', '"1"'), 'STRING')
  t.equal(kindOf('[1]', '{"a":1}'), 'STRING')
  const unreadable = record('{"v":1}', { problem: { type: 'invalid_json', message: 'no' } })
  const kinds = new FieldKinds()
  kinds.add(unreadable)
  t.equal(kinds.of('v'), 'STRING')
  t.end()
})

void t.test('row groups have a bounded size', async t => {
  const chunks: Buffer[] = []
  const kinds = new FieldKinds()
  const rows = new ParquetFile(await loadParquetWriter(), {
    columns: parquetColumns(layOutColumns(['id'], NAMES), kinds, undefined),
    write: async bytes => void chunks.push(Buffer.from(bytes)),
    groupRows: 3,
    groupCharacters: 190,
  })
  for (let at = 0; at < 7; at++) await rows.add(said('short', `{"id":"${at}"}`))
  for (let at = 7; at < 9; at++) await rows.add(said('x'.repeat(150), `{"id":"${at}"}`))
  await rows.end()
  const bytes = Buffer.concat(chunks)
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const { row_groups: groups, created_by } = await parquetMetadataAsync(file)
  t.same(
    groups.map(({ num_rows }) => num_rows),
    [3n, 3n, 2n, 1n],
  )
  t.equal(created_by, 'claude-batch-stream')
  const read = await parquetReadObjects({ file })
  t.same(
    read.map(({ id }) => id as string),
    ['0', '1', '2', '3', '4', '5', '6', '7', '8'],
  )
})

void t.test('a record that was not sent keeps its own response', t => {
  const columns = parquetColumns(layOutColumns(['id'], NAMES), new FieldKinds(), undefined)
  const cells = (json: string): unknown[] =>
    columns.map(({ cellOf }) => cellOf(without('rejected', json)))
  t.match(cells('{"id":"1","response":["mine"]}'), ['1', '["mine"]', 'rejected'])
  t.match(cells('{"id":"1","response":null}'), ['1', null, 'rejected'])
  t.end()
})

void t.test(
  'a result of another tool has only its id, and answers have the type of their schema',
  t => {
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer' }, many: { type: ['integer', 'string'] }, any: true },
    }
    const names = ['n', 'many', 'any', 'none']
    const table = layOutColumns(['custom_id', 'id'], NAMES, names)
    const columns = parquetColumns(table, new FieldKinds(), schema)
    t.same(
      columns.slice(2, 6).map(({ kind }) => kind),
      ['INT64', 'STRING', 'STRING', 'STRING'],
    )
    const foreign = (text: string, customId: string | null): Result =>
      new Result({
        ...{ batch, customId, record: undefined, last: false },
        raw: Buffer.from(
          JSON.stringify({ custom_id: customId, result: message([{ type: 'text', text }]) }),
        ),
        check: answerCheck(schema),
      })
    const cells = (text: string, customId: string | null = null): unknown[] =>
      columns.map(({ cellOf }) => cellOf(foreign(text, customId)))
    t.same(cells('{"n":1,"many":2}', 'r-1').slice(0, 5), ['r-1', null, 1n, '2', null])
    t.same(cells('{"n":1}').slice(0, 3), [null, null, 1n])
    t.same(cells('7').slice(2, 4), [null, null])
    t.same(cells('{"n":1e30}').at(2), null)
    t.equal(
      cells('{"n":1e30}').at(-1),
      'number_too_large: the answer has "n": 1e30, which INT64 cannot hold',
    )
    t.end()
  },
)

void t.test('an answer that has no properties is text, and null if it breaks the schema', t => {
  const columns = parquetColumns(layOutColumns(['id'], NAMES), new FieldKinds(), undefined)
  const check = answerCheck({ type: ['array', 'string'] })
  const response = (text: string): unknown => {
    const { batch, customId, record, raw, last } = said(text)
    return columns[1]?.cellOf(new Result({ batch, customId, record, raw, last, check }))
  }
  t.equal(response('["a", 1e2]'), '["a",1e2]')
  t.equal(response('"a"'), 'a')
  t.equal(response('7'), null)
  t.end()
})

void t.test('a missing package is named, with the command that installs it', async t => {
  const fail = (): Promise<never> => Promise.reject(new Error('no such package'))
  await t.rejects(loadParquetWriter(fail), {
    code: 'CBS_OPTION',
    message:
      /^Parquet output needs the package `hyparquet-writer`: npm install hyparquet-writer \(/,
  })
  await t.rejects(loadReader(fail), {
    code: 'CBS_OPTION',
    message:
      /`hyparquet` and `hyparquet-compressors`: npm install hyparquet hyparquet-compressors \(/,
  })
})
