// What the compiler has to refuse. `npm run types` checks this file like any other; the first test checks it here as well, so
// that it does not pass where the compiler was never asked.
import type Anthropic from '@anthropic-ai/sdk'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { spawnSync } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import * as z from 'zod'
import type { ValueOf } from '../lib/core/flow.ts'
import {
  aggregate,
  attachFiles,
  awaitEnd,
  chain,
  partition,
  each,
  fetchResults,
  from,
  inputOrder,
  spool,
  openJob,
  parseCsv,
  records,
  retry,
  runBatches,
  stage,
  submit,
  template,
  writeJsonl,
  type Result,
  type SourceRecord,
  type Stage,
  type Status,
} from '../lib/index.ts'

/** Never called: what stands in it is for the compiler. */
export function refused(client: Anthropic): void {
  // The right order, whole and in parts.
  const ask: Stage<SourceRecord, Result> = chain(
    template({ prompt: 'Sum up {{text}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
  )
  const whole: Stage<Uint8Array, Buffer> = chain(parseCsv(), spool(), ask, writeJsonl())
  // Every stage that there is, in one.
  const through = (): Stage<SourceRecord, Result> => ask
  const all: Stage<Uint8Array, Buffer> = chain(
    parseCsv(),
    spool(),
    template({ prompt: 'Sum up {{text}}' }),
    attachFiles({ attach: '{{path}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    inputOrder(),
    fetchResults({ client }),
    retry({ createPipeline: through }),
    partition({ through: writeJsonl(), to: createWriteStream('failed.jsonl') }),
    writeJsonl(),
  )
  const rows: Stage<never, Buffer> = from(
    [],
    parseCsv(),
    spool(),
    template({ prompt: 'Sum up {{text}}' }),
    attachFiles({ attach: '{{path}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    inputOrder(),
    fetchResults({ client }),
    retry({ createPipeline: through }),
    partition({ through: writeJsonl(), to: createWriteStream('failed.jsonl') }),
    writeJsonl(),
  )
  void [whole, all, rows]

  chain(
    // @ts-expect-error a wrong order shows late in a long chain, too
    parseCsv(),
    spool(),
    template({ prompt: 'x' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
    writeJsonl(),
    retry({ createPipeline: through }),
  )

  // @ts-expect-error a batch is submitted after it was gathered
  chain(submit({ client }), aggregate())
  // @ts-expect-error a batch that was not sent cannot end
  chain(aggregate(), awaitEnd({ client }))
  // @ts-expect-error results of a batch are there when it has ended
  chain(submit({ client }), fetchResults({ client }))
  // @ts-expect-error bytes are parsed first
  chain(template({ prompt: 'x' }), parseCsv())
  // @ts-expect-error a writer gives bytes, and those are no results
  chain(writeJsonl(), writeJsonl())
  // @ts-expect-error a source of records is needed, not of batches
  from([], parseCsv(), aggregate())
  // @ts-expect-error the wrong order shows in the middle of a long chain too
  chain(parseCsv(), template({ prompt: 'x' }), submit({ client }), awaitEnd({ client }))

  // @ts-expect-error awaitEnd asks the API, so it needs a client
  awaitEnd({})
  // @ts-expect-error a count is a number
  aggregate({ count: '100' })
  // @ts-expect-error an option that does not exist
  template({ promt: 'x' })
  // @ts-expect-error a prompt function is synchronous
  template({ prompt: async () => 'x' })
  const texts = [{ text: 'a' }]
  const options = { client, prompt: '{{text}}', job: { name: 'b', dir: 'state' } }
  for (const reuse of ['a', 'auto'] as const)
    runBatches(texts, { ...options, reuse, canary: 20, preflight: false })
  runBatches(texts, { ...options, stopOnUniformFailure: false })
  // @ts-expect-error a job to reuse has a name
  runBatches(texts, { ...options, reuse: true })
  // @ts-expect-error a canary is a number of records
  runBatches(texts, { ...options, canary: '20' })
  // @ts-expect-error an answer is reused from a job, or from none
  const wrong: (result: Result) => number = ({ reused }) => reused
  void wrong
  // @ts-expect-error a job has a name
  void openJob({ dir: 'x' })

  const long = stage((result: Result) => (result.response ?? '').length)
  chain(ask, long)
  // @ts-expect-error a stage of one's own has types, too
  chain(long, writeJsonl())
}

/** True for two types that are the same, `any` being like itself alone. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

function is<A, B>(_same: Same<A, B>): void {}

interface Review {
  readonly id: number
  readonly text: string
  readonly at: Date
  readonly note?: string
}

/** A Review once it was written as JSON. */
interface JsonReview {
  readonly id: number
  readonly text: string
  readonly at: string
  readonly note?: string
}

const Mood = z.object({ mood: z.enum(['good', 'bad']) })
type Mood = z.infer<typeof Mood>

/** Never called: the types of records and answers reach the end, and none of them is `any`. */
export async function carried(client: Anthropic, reviews: AsyncIterable<Review>): Promise<void> {
  const fetched = from(
    records(reviews),
    spool(),
    template({ prompt: (review: JsonReview) => review.text, schema: Mood }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    inputOrder(),
    fetchResults({ client }),
  )
  for await (const { record, value, status } of fetched) {
    is<typeof value, Mood | undefined>(true)
    is<typeof record.fields.id, number>(true)
    is<typeof record.fields.at, string>(true)
    is<typeof record.fields.note, string | undefined>(true)
    is<typeof status, Status>(true)
    // @ts-expect-error the records have no such field
    void record.fields.stars
  }

  // Where nothing says what fields there are, they are unknown and read by name.
  const untyped = chain(
    template({ prompt: 'Mood of {{text}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
  )
  for await (const { record, value } of from(createReadStream('a.csv'), parseCsv(), untyped)) {
    is<typeof value, string | undefined>(true)
    const field = record.fields['text']
    is<typeof field, unknown>(true)
  }
  for await (const { record, value } of untyped) {
    is<typeof value, string | undefined>(true)
    const field = record.fields['text']
    is<typeof field, unknown>(true)
  }
  // The same chain carries the types of whatever reaches it.
  for await (const { record } of from(records(reviews), untyped))
    is<typeof record.fields.text, string>(true)

  // @ts-expect-error the prompt reads a field that the records do not have
  from(records(reviews), template({ prompt: (row: { readonly stars: number }) => `${row.stars}` }))
  // @ts-expect-error a date of a record that was written as JSON is a text
  from(records(reviews), spool(), template({ prompt: (row: Review) => row.at.toISOString() }))

  // Schemas of every kind.
  const formats = [
    template({ prompt: 'x', schema: zodOutputFormat(Mood) }),
    template({ prompt: 'x', schema: { type: 'object' } }),
  ] as const
  type AnswerOfStage<S> = S extends Stage<never, infer Out> ? ValueOf<Out> : never
  is<AnswerOfStage<(typeof formats)[0]>, Mood>(true)
  is<AnswerOfStage<(typeof formats)[1]>, unknown>(true)
  // @ts-expect-error a text is no schema
  template({ prompt: 'x', schema: 'good or bad' })

  // The model and the tokens of each record.
  template({
    prompt: (review: JsonReview) => review.text,
    model: review => (review.text.length > 100 ? 'claude-opus-5' : 'claude-haiku-5-5'),
    maxTokens: review => review.id,
  })
  // @ts-expect-error a number of tokens is a number
  template({ prompt: 'x', maxTokens: () => 'many' })
}

/** Never called: what can be a source of records, and what cannot. */
export function sources(reviews: Review[], response: Response): void {
  records(reviews)
  records(new Set(reviews))
  records(new ReadableStream<Review>())
  records(Readable.from(reviews))
  from(
    reviews.values(),
    stage((review: Review) => review.text),
  )
  if (response.body) from(response.body, parseCsv())
  from(['id,text\n1,Good\n'], parseCsv())
  // @ts-expect-error bytes go through a parser
  if (response.body) records(response.body)
  // @ts-expect-error a file holds bytes
  records(createReadStream('a.csv'))
  // @ts-expect-error texts go through a parser
  records(['id,text'])
  // @ts-expect-error numbers have no fields
  records([1, 2, 3])
  // @ts-expect-error lists have no fields
  records([['id', 'text']])
  // @ts-expect-error one object is no source of objects
  records({ id: 1 })
  // @ts-expect-error plain objects become records first
  from(reviews, template({ prompt: 'x' }))
}

/** Never called: Node's own pipeline takes the stages. */
export async function piped(client: Anthropic, reviews: Review[]): Promise<void> {
  const ask = chain(template({ prompt: 'x' }), aggregate(), submit({ client }))
  await pipeline(
    records(reviews),
    spool(),
    ask,
    awaitEnd({ client }),
    fetchResults({ client }),
    writeJsonl(),
    createWriteStream('a.jsonl'),
  )
  await pipeline(from(records(reviews), spool(), ask), async batches => {
    for await (const { id } of batches) is<typeof id, string | null>(true)
  })
}

/** Never called: the items of a loop have a type, which is not `any`. */
export async function looped(results: Stage<never, Result>): Promise<void> {
  for await (const result of each(results)) {
    const response: string | null = result.response
    // @ts-expect-error there is no such property
    void [response, result.text]
    // @ts-expect-error what flows does not change
    result.raw = null
  }
}

void t.test('what does not fit together does not compile', async t => {
  const root = join(import.meta.dirname, '..')
  // The shell removes the test runner's hooks from the environment: they cannot load the compiler's program.
  const command = 'NODE_OPTIONS= node_modules/.bin/tsc --listFiles --pretty false'
  const compiler = spawnSync('sh', ['-c', command], { cwd: root, encoding: 'utf8' })
  const lines = compiler.stdout.split('\n')
  t.same(
    lines.filter(line => line.startsWith('test/types.test.ts(')),
    [],
  )
  const isRead = lines.some(line => line.trim().endsWith('/test/types.test.ts'))
  t.ok(isRead, `the compiler has read this file: ${compiler.stderr}`)
})
