import { getEventListeners, once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { partition } from '../../../lib/stages/write/partition.ts'
import { writeJsonl } from '../../../lib/stages/write/jsonl.ts'
import { answered, message, said, without } from './made.ts'

function kept(options: { slow?: boolean } = {}): Writable & { rows: string[] } {
  const rows: string[] = []
  const sink = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, done) {
      rows.push(String(chunk))
      if (options.slow) setImmediate(done)
      else done()
    },
  })
  return Object.assign(sink, { rows })
}

const cut = answered(
  message([{ type: 'text', text: 'so f' }], { stop_reason: 'max_tokens' }),
  '{"id":2}',
)
const mixed = [said('a', '{"id":1}'), cut, said('c', '{"id":3}'), without('rejected', '{"id":4}')]

t.test('succeeded results pass, the others are written elsewhere, and the two add up', async t => {
  const failed = kept()
  const out = kept()
  await pipeline(mixed, partition({ through: writeJsonl(), to: failed }), writeJsonl(), out)
  t.same(
    out.rows.map(row => JSON.parse(row).id),
    [1, 3],
  )
  t.same(
    failed.rows.map(row => JSON.parse(row).id),
    [2, 4],
  )
  t.ok(failed.writableFinished, 'the file is ended')
})

t.test('a predicate that returns a promise is rejected, since it would count as true', async t => {
  // A JavaScript user may do so; that it rejects must not end the process.
  const pass = (async () => {
    throw new Error('boom')
  }) as never
  const joined = [
    partition({ through: writeJsonl(), to: kept(), filter: pass }),
    writeJsonl(),
    kept(),
  ] as const
  await t.rejects(pipeline(mixed, ...joined), {
    code: 'CBS_STAGE',
    message: /`filter` returned a promise/,
  })
})

t.test('the predicate can be given', async t => {
  const other = kept()
  const out = kept()
  const pass = (result: Result) => result.response !== null
  await pipeline(
    mixed,
    partition({ through: writeJsonl(), to: other, filter: pass }),
    writeJsonl(),
    out,
  )
  t.same(
    out.rows.map(row => JSON.parse(row).id),
    [1, 2, 3],
  )
})

t.test('the stage ends only when the diverted rows are written', async t => {
  const failed = kept({ slow: true })
  const results = Array.from({ length: 100 }, () => without('rejected'))
  await pipeline(
    results,
    partition({ through: writeJsonl(), to: failed }),
    new PassThrough({ objectMode: true }),
  )
  t.equal(failed.rows.length, 100)
})

t.test('a slow file for failed rows holds the results back', async t => {
  const failed = new PassThrough({ highWaterMark: 1 })
  let given = 0
  const results = function* () {
    for (; given < 5000; given++) yield without('rejected', `{"pad":"${'x'.repeat(1000)}"}`)
  }
  const run = pipeline(
    results,
    partition({ through: writeJsonl(), to: failed }),
    new PassThrough({ objectMode: true }).resume(),
  )
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  t.ok(given < 300, `${given} given while nobody reads`)
  failed.resume()
  await run
  t.equal(given, 5000)
})

t.test(
  'a file that cannot be written is an error of this stage, also while no row fails',
  async t => {
    const full = () =>
      new Writable({
        write: (_chunk, _encoding, done) =>
          done(Object.assign(new Error('no space left'), { code: 'ENOSPC' })),
      })
    for (const results of [[without('rejected')], mixed]) {
      await t.rejects(
        pipeline(results, partition({ through: writeJsonl(), to: full() }), writeJsonl(), kept()),
        {
          code: 'CBS_DISK',
          message: 'cannot write the failed rows: no space left',
          cause: { code: 'ENOSPC' },
        },
      )
    }
    const broken = kept()
    const endless = new Readable({ objectMode: true, read() {} })
    const run = pipeline(
      endless,
      partition({ through: writeJsonl(), to: broken }),
      writeJsonl(),
      kept(),
    )
    broken.destroy(new Error('pulled out'))
    await t.rejects(run, { code: 'CBS_DISK', message: /pulled out/ })
  },
)

t.test('a predicate that throws ends the pipeline and the file', async t => {
  const failed = kept()
  const pass = () => {
    throw new Error('cannot say')
  }
  await t.rejects(
    pipeline(
      mixed,
      partition({ through: writeJsonl(), to: failed, filter: pass }),
      writeJsonl(),
      kept(),
    ),
    {
      code: 'CBS_STAGE',
      message: /cannot say/,
    },
  )
  t.ok(failed.destroyed)
})

t.test('leaving early closes the file for failed rows and leaves no listener', async t => {
  const failed = kept()
  const closed = once(failed, 'close').catch(() => undefined)
  for await (const result of each(from(mixed, partition({ through: writeJsonl(), to: failed })))) {
    t.equal(result.status, 'succeeded')
    break
  }
  await closed
  t.ok(failed.destroyed)
  t.equal(getEventListeners(failed, 'drain').length, 0)
})

t.test('destroying the stage closes the file for failed rows', async t => {
  const failed = kept()
  const closed = new Promise(resolve => failed.once('close', resolve))
  partition({ through: writeJsonl(), to: failed }).destroy()
  await closed
  t.notOk(failed.writableFinished, 'it is not mistaken for a whole file')
})

t.test('invalid options are rejected at once', async t => {
  const right = { through: writeJsonl(), to: kept() }
  for (const [name, options] of [
    ['through', { ...right, through: 'x' }],
    ['through', { to: right.to }],
    ['to', { ...right, to: 'failed.jsonl' }],
    ['to', { through: right.through }],
    ['filter', { ...right, filter: 'x' }],
  ] as const)
    // A JavaScript user may give any of these.
    t.throws(() => partition(options as never), {
      code: 'CBS_OPTION',
      message: new RegExp(`\`${name}\` must be`),
    })
})
