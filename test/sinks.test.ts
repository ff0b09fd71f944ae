// What a stream that is not ours throws ends the pipeline as it is, wherever it stands.
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import t from 'tap'
import { aggregate } from '../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../lib/stages/await/await-end.ts'
import { chain } from '../lib/core/chain.ts'
import { spool } from '../lib/stages/spool/spool.ts'
import { inputOrder } from '../lib/stages/order/input-order.ts'
import { parseJsonl } from '../lib/stages/parse/jsonl.ts'
import { fetchResults } from '../lib/stages/results/fetch-results.ts'
import { retry } from '../lib/stages/retry/retry.ts'
import { submit } from '../lib/stages/submit/submit.ts'
import { attachFiles } from '../lib/stages/template/attach.ts'
import { template } from '../lib/stages/template/template.ts'
import { writeJsonl } from '../lib/stages/write/jsonl.ts'
import { within } from './support/waiting.ts'
import { makeWorld } from './support/world.ts'

const INPUT = Array.from({ length: 9 }, (_, id) => `{"id":${id}}\n`).join('')
const NAMES = [
  ...['parseJsonl', 'spool', 'template', 'attachFiles', 'aggregate', 'submit'],
  ...['awaitEnd', 'inputOrder', 'fetchResults', 'retry', 'writeJsonl'],
]
// A small text.
const attached = { attach: () => `${import.meta.dirname}/../LICENSE` }

for (const how of ['throws at once', 'calls back', 'throws at its end'] as const) {
  for (const [index, name] of NAMES.entries()) {
    void t.test(
      `the error of a sink behind ${name} that ${how} passes unchanged (13.17)`,
      async t => {
        const { client, open } = await makeWorld(t)
        const job = await open()
        const tries = (attempt: number) =>
          chain(
            template({ prompt: 'x {{id}}' }),
            aggregate({ job, attempt }),
            submit({ client }),
            awaitEnd({ client }),
            fetchResults({ client }),
          )
        const stages = [
          parseJsonl(),
          spool({ job }),
          template({ prompt: 'x {{id}}' }),
          attachFiles(attached),
          aggregate({ job, batchSize: 3 }),
          submit({ client }),
          awaitEnd({ client }),
          inputOrder(),
          fetchResults({ client }),
          retry({ job, createPipeline: tries }),
          writeJsonl(),
        ].slice(0, index + 1)
        const error = new TypeError('my sink broke')
        let items = 0
        const sink = new Writable({
          objectMode: true,
          write(_item, _encoding, done) {
            items += 1
            if (items === 2 && how === 'throws at once') throw error
            done(items === 2 && how === 'calls back' ? error : null)
          },
          final(done) {
            done(how === 'throws at its end' ? error : null)
          },
        })
        // Each stage gives what the next one takes; an array of them has no type that says so.
        const all = [Readable.from([Buffer.from(INPUT)]), ...stages, sink] as unknown
        const ended = pipeline(all as NodeJS.ReadWriteStream[])
        const got = await within(
          ended.then(
            () => undefined,
            (cause: unknown) => cause,
          ),
          () => `a pipeline that ends in ${name}`,
        )
        t.equal(got, error)
      },
    )
  }
}

for (const [name, last] of [
  ['a file', () => new Writable({ write: (_, __, done) => done() })],
  ['gzip', () => createGzip()],
] as const)
  for (const isChain of [true, false])
    void t.test(`rows that nothing formats are not paid for (${name}, ${isChain})`, async t => {
      const { client, emulator } = await makeWorld(t)
      const stages = [
        ...[parseJsonl(), template({ prompt: 'x {{id}}' }), aggregate(), submit({ client })],
        ...[awaitEnd({ client }), fetchResults({ client })],
      ] as const
      const [parse, templated, aggregated, submitted, awaited, fetched] = stages
      const whole = isChain
        ? [chain(parse, templated, aggregated, submitted, awaited, fetched)]
        : stages
      await t.rejects(pipeline([Readable.from([INPUT]), ...whole, last()]), {
        code: 'CBS_STAGE',
        message:
          'fetchResults gives objects, and the next stream takes bytes: put a stage between them that formats rows, such as writeJsonl()',
      })
      t.equal((await emulator.ledger.totals()).accepted, 0)
    })
