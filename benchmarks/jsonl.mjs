// parseJsonl against ndjson, split2, stream-json's parser for JSON lines, and a bare loop without streams. Each reads one field of
// every record.
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { mediansOf, scratch } from './run.mjs'
import { cells, COSTS, table, times } from './table.mjs'

export const question = 'How fast do JSON lines become records?'

const SIZES = [
  { line: '1 KB', length: 1000, count: 200_000 },
  { line: '64 KB', length: 64_000, count: 3000 },
  { line: '1 MB', length: 1_000_000, count: 200 },
]

/** Consumes every record, and optionally reads a field of it. */
function sink(fieldOf) {
  let records = 0
  return new Writable({
    objectMode: true,
    write(record, _encoding, done) {
      if (fieldOf(record) !== undefined) records += 1
      done()
    },
    final(done) {
      if (records === 0) throw new Error('nothing came')
      done()
    },
  })
}

const CASES = {
  parseJsonl: async file => {
    const { parseJsonl } = await import('../dist/lib/index.js')
    begin()
    await pipeline(
      createReadStream(file),
      parseJsonl(),
      sink(({ fields }) => fields.review),
    )
  },
  ndjson: async file => {
    const { default: ndjson } = await import('ndjson')
    begin()
    await pipeline(
      createReadStream(file),
      ndjson.parse(),
      sink(({ review }) => review),
    )
  },
  split2: async file => {
    const { default: split2 } = await import('split2')
    begin()
    await pipeline(
      createReadStream(file),
      split2(JSON.parse),
      sink(({ review }) => review),
    )
  },
  'stream-json': async file => {
    const { default: parser } = await import('stream-json/jsonl/parser.js')
    begin()
    await pipeline(
      createReadStream(file),
      parser.asStream(),
      sink(({ value }) => value.review),
    )
  },
  'indexOf and JSON.parse': async file => {
    begin()
    const pieces = []
    let sum = 0
    for await (const chunk of createReadStream(file)) {
      let from = 0
      for (let to; (to = chunk.indexOf(10, from)) !== -1; from = to + 1) {
        pieces.push(chunk.subarray(from, to))
        const line = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
        pieces.length = 0
        sum += JSON.parse(line.toString()).review.length
      }
      if (from < chunk.length) pieces.push(chunk.subarray(from))
    }
    if (sum === 0) throw new Error('nothing came')
  },
}

export async function ask({ smoke, tell }) {
  const folder = scratch()
  const rows = []
  const ratios = []
  try {
    for (const { line, length, count } of SIZES) {
      const file = join(folder.path, 'lines.jsonl')
      await pipeline(Readable.from(lines(length, smoke ? 10 : count)), createWriteStream(file))
      tell(`lines of ${line}`)
      const costs = await mediansOf(import.meta.url, CASES, smoke ? 1 : 3, () => [file])
      const ours = costs.parseJsonl.cpuS
      for (const [name, cost] of Object.entries(costs))
        rows.push([line, name, ...cells(cost), times(cost.cpuS / ours)])
      ratios.push(
        `${line}: ${times(costs.ndjson.cpuS / ours)}, ${times(costs.split2.cpuS / ours)}, ${(costs['indexOf and JSON.parse'].cpuS / ours).toFixed(2)}`,
      )
    }
  } finally {
    folder[Symbol.dispose]()
  }
  return {
    text: table(['lines', 'case', ...COSTS, 'CPU against ours'], rows),
    goals: [
      {
        what: 'JSONL to records against ndjson, split2, and the bare loop',
        goal: 'ndjson: hold 1.4x at 1 KB and 1.6x at 64 KB, aim 1.6x and 1.8x',
        measured: ratios.join('; '),
      },
    ],
  }
}

function* lines(length, count) {
  const text = 'It broke after a day, and the shop would not take it back, "ever". '
  for (let n = 0; n < count; n++) {
    const review = text.repeat(Math.ceil(length / text.length)).slice(0, length)
    yield `${JSON.stringify({ id: n, review, stars: 2, shop: 'north' })}\n`
  }
}

const [name, file] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](file)
