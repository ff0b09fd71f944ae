import fc from 'fast-check'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import { SourceRecord } from '../../../lib/core/flow.ts'
import { parse } from '../../../lib/stages/parse/parse.ts'
import { shard } from '../../../lib/stages/parse/shard.ts'

const FORMATS: Readonly<Record<string, (count: number) => string>> = {
  csv: count => ['id', ...numbers(count).map(id => `"${id}\n"`), ''].join('\n'),
  jsonl: count =>
    numbers(count)
      .map(id => `{"id":${id}}\n`)
      .join(''),
  json: count => JSON.stringify(numbers(count).map(id => ({ id }))),
  text: count =>
    numbers(count)
      .map(id => `line ${id}\n`)
      .join(''),
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}

/** Cuts bytes into chunks of a size. */
function* chunks(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** What the shard gives of an input, as text. */
async function taken(
  bytes: Buffer,
  size: number,
  format: string,
  own?: Parameters<typeof shard>[0],
): Promise<string[]> {
  const parser = parse({ from: format as 'csv' })
  const records = own
    ? from(chunks(bytes, size), parser, shard(own))
    : from(chunks(bytes, size), parser)
  const seen: string[] = []
  for await (const { raw, line } of each(records)) seen.push(`${line} ${raw}`)
  return seen
}

void t.test('each record of any input is in exactly one of 1 to 64 shards, in order', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(FORMATS)),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 1, max: 200 }),
      fc.boolean(),
      async (format, count, block, records, size, isPacked) => {
        const text = Buffer.from(FORMATS[format]?.(records) ?? '')
        const bytes = isPacked ? gzipSync(text) : text
        const all = await taken(bytes, size, format)
        const parts: string[][] = []
        for (let index = 0; index < count; index++)
          parts.push(await taken(bytes, size, format, { index, count, block }))
        const joined: string[] = []
        for (let start = 0; joined.length < all.length; start += 1) {
          const part = parts[start % count] ?? []
          joined.push(...part.splice(0, block))
        }
        t.same(joined, all)
        t.ok(parts.every(part => part.length === 0))
      },
    ),
    { numRuns: 60, seed: 20261128 },
  )
})

void t.test('one shard of one is the whole input', async t => {
  const bytes = Buffer.from('a\nb\nc\n')
  t.same(await taken(bytes, 1, 'text', { index: 0, count: 1 }), await taken(bytes, 6, 'text'))
})

void t.test(
  'the shard stage rejects an invalid shard at once, and items that are not records',
  async t => {
    t.throws(() => shard({ index: 2, count: 2 }), { code: 'CBS_OPTION' })
    const wrong = from(['text' as never], shard({ index: 0, count: 2 }))
    await t.rejects(each(wrong)[Symbol.asyncIterator]().next(), {
      code: 'CBS_STAGE',
      message: /shard takes records/,
    })
  },
)

void t.test('a record of another shard is hashed but not parsed', async t => {
  let parsed = 0
  const record = (line: number): SourceRecord =>
    new SourceRecord(
      {
        raw: () => Buffer.from('{}'),
        fields: () => {
          parsed += 1
          return {}
        },
      },
      { line },
    )
  const own = from([1, 2, 3, 4].map(record), shard({ index: 1, count: 4, block: 1 }))
  for await (const { line, fields } of each(own)) t.same([line, fields], [2, {}])
  t.equal(parsed, 1)
})
