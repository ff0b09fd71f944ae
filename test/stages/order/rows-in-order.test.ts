import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { chain } from '../../../lib/core/chain.ts'
import { lastUserText, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { inputOrder } from '../../../lib/stages/order/input-order.ts'
import { rowsInOrder } from '../../../lib/stages/order/rows-in-order.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { retry } from '../../../lib/stages/retry/retry.ts'
import { stage, type Stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { openOutput } from '../../../lib/stages/write/output.ts'
import { openFor, record } from '../../support/jobs.ts'
import { deathsOf, makeWorld, type World } from '../../support/world.ts'

const COUNT = 12

/** Records 5 and 6, the last of a batch and the first of the next, fail on their first try. */
const FAILING: EmulatorOptions = {
  batchTimeMs: ({ number }) => 5_000 / number,
  respond: (params, { attempt }) =>
    attempt === 1 && /question [56]$/.test(lastUserText(params))
      ? { error: { type: 'api_error', message: 'it broke' } }
      : undefined,
}

/** Runs twelve records, two to a batch, with rows in a file. */
async function write(
  { client }: World,
  job: StoredJob,
  path: string,
  {
    ordered = true,
    between = stage((result: Result) => result),
  }: { ordered?: boolean; between?: Stage<Result, Result> } = {},
): Promise<void> {
  const through = (attempt: number) =>
    chain(
      template(),
      aggregate({ job, batchSize: 2, attempt }),
      submit({ client }),
      awaitEnd({ client, job, poll: 100 }),
      inputOrder(),
      fetchResults({ client, job }),
    )
  const rowOf = jsonlRow()
  const out = await openOutput({
    ...{ job, out: { path }, rows: { rowOf }, errorRowOf: rowOf, ordered },
  })
  const records = Array.from({ length: COUNT }, (_, n) =>
    record({ n, prompt: `question ${n}` }, n + 1),
  )
  const results = chain(through(1), retry({ job, createPipeline: through }), between)
  const rows = ordered ? chain(results, rowsInOrder({ job })) : results
  await pipeline(Readable.from(records), spool({ job }), rows, out)
}

const written = (path: string): number[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line).n)

const all = Array.from({ length: COUNT }, (_, n) => n)

void t.test('R09: a crash at any commit, and a resume, write each row once in order', async t => {
  const world = await makeWorld(t, FAILING)
  const path = `${world.dir}/out.jsonl`
  const job = await world.open()
  const files: string[] = []
  const isDeath = ({ type }: { readonly type: string }): boolean =>
    type === 'writtenBelow' || type === 'fetched'
  const deaths = deathsOf(job, world.dir, isDeath)
  job.on('event', event => {
    if (isDeath(event)) files.push(existsSync(path) ? readFileSync(path, 'utf8') : '')
  })
  const commits: number[] = []
  const held = new Set<number>()
  job.on('event', event => {
    if (event.type === 'writtenBelow') commits.push(event.below)
    if (event.type === 'held') held.add(event.number)
  })
  await write(world, job, path)
  t.same(written(path), all)
  t.same(commits, [2, 4, 8, 10, 12])
  t.same([...held], [3, 4, 5, 6])
  await job.close()
  for (const [nth, dir] of deaths.entries()) {
    for (const ordered of [true, false]) {
      writeFileSync(path, files[nth] ?? '')
      // One death, two ways to resume.
      const copy = `${dir}/${ordered}`
      cpSync(`${dir}/jobs`, `${copy}/jobs`, { recursive: true })
      const again = await openFor(t, copy, { clock: world.clock })
      await write(world, again, path, { ordered })
      const rows = written(path)
      t.same(ordered ? rows : rows.toSorted((a, b) => a - b), all, `death ${nth}`)
      await again.close()
    }
  }
})

void t.test(
  'R09: a file that was begun in the order of batch ends is finished in input order',
  async t => {
    const world = await makeWorld(t, FAILING)
    const path = `${world.dir}/out.jsonl`
    const job = await world.open()
    let rows = 0
    const broken = stage((result: Result) => {
      if (++rows === 6) throw new BatchStreamError('CBS_STOPPED', 'enough')
      return result
    })
    await t.rejects(write(world, job, path, { ordered: false, between: broken }), /enough/)
    await job.close()
    const before = written(path)
    t.ok(before.length > 0)
    await write(world, await world.open(), path)
    const after = written(path)
    const added = after.filter(n => !before.slice(0, 4).includes(n))
    t.same(
      after.toSorted((a, b) => a - b),
      all,
    )
    t.same(
      added,
      added.toSorted((a, b) => a - b),
    )
  },
)

void t.test(
  'R09: where submission stopped, rows after a missing one wait for the resume',
  async t => {
    const world = await makeWorld(t, FAILING)
    const path = `${world.dir}/out.jsonl`
    const job = await world.open()
    const stop = stage((result: Result) => {
      job.queue.stop(new BatchStreamError('CBS_STOPPED', 'stopped'))
      // The results of two records that are not retried do not come.
      return [5, 6].includes(result.record?.ordinal ?? 0) ? undefined : result
    })
    // As the program runs it: what is here is written before the reason ends the run.
    job.queue.isStopHandled = true
    await write(world, job, path, { between: stop })
    await job.close()
    t.same(written(path), [0, 1, 2, 3, 4])
    await write(world, await world.open(), path)
    t.same(written(path), all)
  },
)

void t.test('a result that a stage drops does not block the others', async t => {
  const world = await makeWorld(t, FAILING)
  const path = `${world.dir}/out.jsonl`
  const job = await world.open()
  const dropping = stage((result: Result) =>
    [0, 3].includes(result.record?.ordinal ?? 0) ? undefined : result,
  )
  await write(world, job, path, { between: dropping })
  t.same(
    written(path),
    all.filter(n => n !== 0 && n !== 3),
  )
  await job.close()
  await write(world, await world.open(), path)
  t.same(written(path), all, 'no commit has claimed the rows that were missing')
})
