import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { aggregate, type AggregateOptions } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { chain, each, from } from '../../../lib/core/chain.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { digestOf } from '../../../lib/stages/template/digest.ts'
import type { TemplateOptions } from '../../../lib/stages/template/options.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { records } from '../../support/jobs.ts'
import { deathsOf, journalOf, makeWorld, type World } from '../../support/world.ts'

const ASKED: TemplateOptions = { prompt: 'Say {{n}}' }

const CHANGED: Readonly<Record<string, TemplateOptions>> = {
  prompt: { prompt: 'Tell {{n}}' },
  model: { ...ASKED, model: 'claude-sonnet-5' },
  'number of tokens': { ...ASKED, maxTokens: 7 },
  parameter: { ...ASKED, params: { stop_sequences: ['.'] } },
  'system prompt': { ...ASKED, system: 'Be brief.' },
  schema: {
    ...ASKED,
    schema: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] },
  },
}

/** Asks three records in batches of one, with or without spool(), and collects the answers. */
async function run(
  { client }: World,
  job: StoredJob,
  options: TemplateOptions,
  {
    kept = true,
    answers = [],
    ...more
  }: AggregateOptions & { kept?: boolean; answers?: (string | null)[] } = {},
): Promise<(string | null)[]> {
  const passed = stage<SourceRecord, SourceRecord>(record => record)
  await pipeline(
    Readable.from(records(3)),
    kept ? spool({ job }) : passed,
    template(options),
    chain(
      aggregate({ job, batchSize: 1, ...more }),
      submit({ client, concurrency: 1 }),
      awaitEnd({ client, job }),
    ),
    fetchResults({ client, job }),
    async function (results: AsyncIterable<Result>) {
      for await (const { response } of results) answers.push(String(response))
    },
  )
  return answers
}

function sent({ emulator }: World): number {
  return emulator.ledger.batches().length
}

async function unfinished(t: Test): Promise<{ world: World; dir: string }> {
  const world = await makeWorld(t)
  const job = await world.open()
  const copies = deathsOf(job, world.dir, ({ type }) => type === 'submitted')
  await run(world, job, ASKED)
  await job.close()
  return { world, dir: copies[0] ?? '' }
}

for (const [what, changed] of Object.entries(CHANGED)) {
  void t.test(`R07: a finished job is not run again with another ${what}`, async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    const paid = await run(world, job, ASKED)
    await job.close()
    for (const kept of [true, false]) {
      const again = await world.open()
      const answers: (string | null)[] = []
      await t.rejects(run(world, again, changed, { kept, answers }), {
        code: 'CBS_INPUT',
        message: /template has changed since job test started/,
      })
      t.same(answers, paid, 'paid answers are given')
      await again.close()
    }
    t.equal(sent(world), 3, 'nothing is sent')
    t.same(await run(world, await world.open(), ASKED), paid, 'the same template is taken')
    t.equal(sent(world), 3)
  })

  void t.test(`R07: an unfinished job sends nothing with another ${what}`, async t => {
    const { world, dir } = await unfinished(t)
    const before = sent(world)
    const job = await world.open({ dir })
    const answers: (string | null)[] = []
    await t.rejects(run(world, job, changed, { answers }), { code: 'CBS_INPUT' })
    t.match(answers, [/Say 0/], 'the answer of the batch in flight is given')
    t.equal(answers.length, 1)
    t.equal(sent(world), before)
    await job.close()
    const last = await run(world, await world.open({ dir }), ASKED)
    t.equal(last.length, 3, 'the same template goes on')
    for (const answer of last) t.match(answer, /Say \d/)
  })
}

void t.test('R07: a job that has sealed nothing yet is compared too', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await job.note({ type: 'template', digest: digestOf(ASKED) }, true)
  await t.rejects(run(world, job, { prompt: 'Tell {{n}}' }), { code: 'CBS_INPUT' })
  t.equal(sent(world), 0)
})

void t.test('R07: a template that is piped in late is compared too', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await job.note({ type: 'template', digest: digestOf(ASKED) }, true)
  const gathered = aggregate({ job })
  await new Promise(setImmediate)
  const whole = from(Readable.from(records(1)), template({ prompt: 'Tell {{n}}' }), gathered)
  await t.rejects(
    (async () => {
      for await (const _ of each(whole)) t.fail('nothing is sealed')
    })(),
    { code: 'CBS_INPUT' },
  )
})

void t.test('R07: compareTemplate: false resumes with another template', async t => {
  const { world, dir } = await unfinished(t)
  const job = await world.open({ dir })
  const given = await run(world, job, { prompt: 'Tell {{n}}' }, { compareTemplate: false })
  t.match(given, [/Say 0/, /Tell 1/, /Tell 2/])
  t.equal(journalOf(job.store.folder).filter(({ type }) => type === 'template').length, 1)
})

void t.test('a digest distinguishes functions and whole records from their text', t => {
  const digests = [
    { prompt: '{{@json}}' },
    { prompt: 'Symbol(@json)' },
    { prompt: () => 'a' },
    { prompt: () => 'b' },
    { prompt: '{{@json}}', attach: '{{n}}' },
    { prompt: '{{@json}}', attach: () => '' },
    { prompt: '{{$a}}', vars: { a: 'b' } },
    { prompt: '{{$a}}', vars: { a: 'c' } },
  ].map(digestOf)
  t.equal(new Set(digests).size, digests.length)
  t.equal(digestOf({ prompt: '{{@json}}' }), digests[0])
  t.equal(digestOf({ prompt: '{{$a}}', vars: { a: 'b', unused: 'x' } }), digests[6])
  t.end()
})
