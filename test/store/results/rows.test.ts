import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { lastUserText } from '../../../lib/emulator/index.ts'
import { openDedupeIndex } from '../../../lib/stages/aggregate/dedupe-batch.ts'
import { BatchIds } from '../../../lib/store/results/batch-ids.ts'
import { ResultPage } from '../../../lib/core/results/result-page.ts'
import { rowsOf } from '../../../lib/store/results/rows.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { record } from '../../support/jobs.ts'
import { ask, asks, makeWorld, run } from '../../support/world.ts'

const LONG = 400_000

void t.test('short rows are emitted many at a time and long ones few, in input order', async t => {
  const world = await makeWorld(t, {
    respond: ({ messages }) => {
      const [, number = ''] = String(messages[0]?.content).split(' ')
      return number.length === 3 ? 'x'.repeat(LONG) : 'short'
    },
  })
  const job = await world.open()
  await run(world, job, asks(110))
  const blocks: number[][] = []
  const ids = await BatchIds.of(job, 1)
  for await (const rows of rowsOf(job.endedBatch(1), ids))
    blocks.push([...rows].map(({ record }) => record?.ordinal ?? -1))
  t.same(
    blocks.flat(),
    Array.from({ length: 110 }, (_, i) => i),
  )
  // The last ten have numbers of three digits.
  t.same(
    blocks.map(block => block.length),
    [100, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    'one long row ends a block',
  )
})

void t.test(
  'a line number of more than 31 bits is kept, for short and for long answers',
  async t => {
    const world = await makeWorld(t, {
      respond: params => (lastUserText(params) === 'long' ? 'x'.repeat(LONG) : 'short'),
    })
    const job = await world.open()
    const line = 2 ** 31 + 5
    const asked = ['short', 'long'].map((text, at) => ({
      ...ask(text),
      record: record({ text }, line + at),
    }))
    await run(world, job, asked)
    const lines: unknown[] = []
    for await (const rows of rowsOf(job.endedBatch(1), await BatchIds.of(job, 1)))
      for (const { record, response } of rows) lines.push([record?.line, String(response).length])
    t.same(lines, [
      [line, 'short'.length],
      [line + 1, LONG],
    ])
  },
)

/** The rows of batch 1 as text: the record, and what it was answered. Its keys are read, too. */
async function rowsIn(job: StoredJob): Promise<string[]> {
  const seen = await openDedupeIndex(job, 1)
  await seen.close()
  const rows: string[] = []
  for await (const block of rowsOf(job.endedBatch(1), await BatchIds.of(job, 1)))
    for (const { record, raw, status } of block)
      rows.push(`${record?.line} ${record?.source} ${record?.raw} ${status} ${raw}`)
  return rows
}

for (const [file, of] of [
  ['records.jsonl', 'one of records'],
  ['records.index', 'one of records'],
  ['batches/1.results', 'the (result set|file)'],
  ['batches/1.lines', '(the )?result set'],
  ['batches/1.members', 'the file'],
  ['batches/1.rejected', 'the file'],
  ['batches/1.ids', 'the file'],
  ['batches/1.repeats', 'the file'],
  ['batches/1.keys', 'the file'],
] as const) {
  void t.test(
    `${file} cut or changed under a job is CBS_STATE, or gives the same rows (13.9)`,
    async t => {
      // One request of the three has no line.
      const world = await makeWorld(t, { faults: [{ on: 'results', lines: { drop: 2 } }] })
      const job = await world.open()
      const problem = { type: 'bad', message: 'no' }
      const asked = [ask('a', 'mine'), ...asks(2), ask('a'), { record: record({ n: 1 }), problem }]
      await run(world, job, asked, { aggregate: { dedupe: true } })
      const right = await rowsIn(job)
      t.equal(right.length, 5)
      const path = `${job.store.folder}/${file}`
      const bytes = readFileSync(path)
      // Every byte of an index, and some of the longer files.
      const step = Math.ceil(bytes.length / 100)
      let tried = 0
      let refused = 0
      const attempt = async (what: string): Promise<void> => {
        const got = await rowsIn(job).catch((cause: unknown) => {
          t.match(
            cause,
            {
              code: 'CBS_STATE',
              message: new RegExp(
                `^(record|${of}) .*(is damaged on disk|was changed since|is gone)`,
              ),
            },
            what,
          )
          refused += 1
          return right
        })
        t.strictSame(got, right, what)
      }
      for (let at = 0; at < bytes.length; at += step, tried++) {
        const changed = Buffer.from(bytes)
        changed.writeUInt8((bytes[at] as number) ^ (1 << (at % 8)), at)
        writeFileSync(path, changed)
        await attempt(`byte ${at}`)
      }
      t.equal(refused, tried, 'every change is seen')
      for (let size = 0; size < bytes.length; size += step) {
        writeFileSync(path, bytes)
        truncateSync(path, size)
        await attempt(`cut to ${size}`)
      }
      // The job keeps its records open.
      if (file.startsWith('records.')) return
      if (of === 'the file')
        t.equal(refused, tried + Math.ceil(bytes.length / step), 'every cut is seen')
      refused = 0
      rmSync(path)
      await attempt('gone')
      t.equal(refused, 1)
    },
  )
}

void t.test(
  'a released page lends its memory to a later one, and no other page changes',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    await run(world, job, asks(1500))
    const pages: ResultPage[] = []
    const memories = new Set<ArrayBufferLike>()
    const ids = await BatchIds.of(job, 1)
    for await (const page of rowsOf(job.endedBatch(1), ids)) {
      if (!(page instanceof ResultPage)) return t.fail('all of them fit on pages')
      memories.add(page.lines.buffer)
      if (pages.push(page) % 3 === 0) t.match(page.item(0).status, 'succeeded')
      // A result of every third one is in use, so its memory stays what it is.
      if (pages.length % 3 !== 1) page.release()
    }
    t.equal(pages.length, 6)
    t.ok(memories.size < pages.length, `${memories.size} pieces of memory`)
    const right = await rowsIn(job)
    for (const [number, page] of pages.entries()) {
      if (number % 3 === 1) {
        t.throws(() => page.item(0), { message: /read after its release/ })
        continue
      }
      const rows = [...page].map(
        ({ record, raw, status }) =>
          `${record?.line} ${record?.source} ${record?.raw} ${status} ${raw}`,
      )
      t.same(rows, right.slice(page.ordinal, page.ordinal + page.count))
    }
  },
)
