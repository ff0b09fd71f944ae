// What the compiler rejects reaches JavaScript users at run time: a misplaced stage says so, and nothing hangs.
import Anthropic from '@anthropic-ai/sdk'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../lib/stages/await/await-end.ts'
import { each, from } from '../../lib/core/chain.ts'
import { SourceRecord, type SealedBatch } from '../../lib/core/flow.ts'
import { spool } from '../../lib/stages/spool/spool.ts'
import { inputOrder } from '../../lib/stages/order/input-order.ts'
import { parseCsv } from '../../lib/stages/parse/csv.ts'
import { parseText } from '../../lib/stages/parse/text.ts'
import { unpack } from '../../lib/stages/parse/unpack.ts'
import type { Result } from '../../lib/core/results/result.ts'
import { fetchResults } from '../../lib/stages/results/fetch-results.ts'
import { retry } from '../../lib/stages/retry/retry.ts'
import { stage, typed, type Stage } from '../../lib/core/stage.ts'
import { submit } from '../../lib/stages/submit/submit.ts'
import { attachFiles } from '../../lib/stages/template/attach.ts'
import { template } from '../../lib/stages/template/template.ts'
import { partition } from '../../lib/stages/write/partition.ts'
import { writeText } from '../../lib/stages/write/text.ts'

const client = new Anthropic({ apiKey: 'any', baseURL: 'http://127.0.0.1:9' })
const record = new SourceRecord(Buffer.from('{"a":1}'), { line: 1 })
const request = { params: { model: 'm', max_tokens: 1, messages: [] }, record }
const row = Buffer.from('{"a":1}\n')

/** Joins stages without type checks, as a JavaScript user may. */
function joined(...streams: readonly unknown[]): Promise<void> {
  return pipeline([...streams, nothing()] as unknown as NodeJS.ReadWriteStream[])
}

/** A sealed batch from aggregate. */
async function sealedBatch(): Promise<SealedBatch> {
  for await (const batch of each(from([request], aggregate()))) return batch
  throw new Error('there is one')
}

const nothing = (): PassThrough => new PassThrough({ objectMode: true }).resume()

const PLACES: readonly [
  name: string,
  make: () => Stage<never, unknown>,
  takes: RegExp,
  wrong: readonly unknown[],
][] = [
  ['parseCsv', () => parseCsv(), /a parse stage takes bytes/, [record, 5, {}, false]],
  ['parseText', () => parseText(), /a parse stage takes bytes/, [request, Symbol('x')]],
  ['unpack', () => unpack(), /a parse stage takes bytes/, [record]],
  ['spool', () => spool(), /spool takes records: put a parse stage before it/, [row, request, 'x']],
  ['template', () => template({ prompt: 'x' }), /template takes records: /, [row, request, 0]],
  [
    'attachFiles',
    () => attachFiles({ attach: 'x' }),
    /attachFiles takes requests: /,
    [row, record, 7n],
  ],
  [
    'aggregate',
    () => aggregate(),
    /aggregate takes requests: put template before it/,
    [row, record, {}, { record: {} }, 'x'],
  ],
  [
    'submit',
    () => submit({ client }),
    /submit takes sealed batches: put aggregate before it/,
    [row, record, request, {}],
  ],
  [
    'fetchResults',
    () => fetchResults({ client }),
    /fetchResults takes ended batches: put awaitEnd before it/,
    [row, record, { job: {} }, 'x'],
  ],
  [
    'awaitEnd',
    () => awaitEnd({ client }),
    /awaitEnd takes submitted batches: put submit/,
    [row, record, {}, { job: {} }],
  ],
  [
    'inputOrder',
    () => inputOrder(),
    /inputOrder takes ended batches: put awaitEnd/,
    [row, record, { job: null }],
  ],
  [
    'retry',
    () => retry({ createPipeline: () => typed<SourceRecord, Result>(nothing()) }),
    /retry takes results: put fetchResults/,
    [record, request],
  ],
  [
    'partition',
    () => partition({ through: writeText(), to: nothing() }),
    /partition takes results: /,
    [record, row],
  ],
  ['a writer', () => writeText(), /a writer takes results: /, [record, row, 'x', NaN]],
]

for (const [name, make, takes, wrong] of PLACES) {
  void t.test(`${name} in the wrong place ends the pipeline and names its place`, async t => {
    for (const item of [...wrong, undefined]) {
      // `stage` drops undefined, so it comes from an iterable.
      const source = item === undefined ? [undefined] : [item]
      const before = item === undefined ? [] : [stage((one: unknown) => [one] as never)]
      const ended = joined(source, ...before, make())
      await t.rejects(ended, { code: 'CBS_STAGE', message: takes }, String(item))
    }
  })
}

void t.test('a batch that was not sent cannot be awaited', async t => {
  const batch = await sealedBatch()
  for (const make of [
    () => awaitEnd({ client }),
    () => inputOrder(),
    () => fetchResults({ client }),
  ]) {
    await t.rejects(joined([batch], make()), {
      code: 'CBS_STAGE',
      message: /put (submit|awaitEnd) before it/,
    })
  }
})

void t.test('a batch that its job does not know ends the pipeline too', async t => {
  const batch = { ...(await sealedBatch()), state: 'ended', number: 99, id: 'msgbatch_1' }
  await t.rejects(joined([batch], awaitEnd({ client })), {
    code: 'CBS_STAGE',
    message: /has no batch 99/,
  })
})

void t.test('records of another copy of this package are accepted', async t => {
  const other = { raw: Buffer.from('{"a":1}'), line: 1, fields: { a: 1 } }
  // @ts-expect-error to the compiler a record of another copy is another class
  for await (const asked of each(from([other], template({ prompt: 'is {{a}}' }))))
    t.match(asked, { params: { messages: [{ content: 'is 1' }] } })
})

void t.test(
  'a missing client, or a client in place of the options, is rejected at once',
  async t => {
    // As a JavaScript user may call them.
    const makers: readonly unknown[] = [submit, awaitEnd, fetchResults]
    for (const make of makers as readonly ((options?: unknown) => unknown)[])
      for (const wrong of [undefined, null, {}, client, { client: 'sk-ant' }])
        t.throws(() => make(wrong), { code: 'CBS_OPTION', message: /client/ })
  },
)
