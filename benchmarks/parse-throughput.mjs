// How fast do bytes become records? 60 MB of JSON lines: parseJsonl against ndjson and against the barest loop (indexOf and
// JSON.parse); 50 MB of CSV: parseCsv against bare csv-parse. Every case is a process of its own, what it loads not counted.
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { machine, measured, medians, table } from './run.mjs'

const RECORDS = 400_000
const TIMES = Number(process.env.TIMES ?? 5)

/** Takes every record and touches one field, so that nothing is put off. */
function sink(fieldOf) {
  let sum = 0
  return new Writable({
    objectMode: true,
    write(record, _encoding, done) {
      sum += String(fieldOf(record)).length
      done()
    },
    final(done) {
      if (sum === 0) throw new Error('nothing came')
      done()
    },
  })
}

const CASES = {
  'jsonl: parseJsonl': async file => {
    const { parseJsonl } = await import('../dist/lib/index.js')
    begin()
    await pipeline(
      createReadStream(file),
      parseJsonl(),
      sink(({ fields }) => fields.review),
    )
  },
  'jsonl: ndjson': async file => {
    const { default: ndjson } = await import('ndjson')
    begin()
    await pipeline(
      createReadStream(file),
      ndjson.parse(),
      sink(record => record.review),
    )
  },
  'jsonl: indexOf and JSON.parse, no streams between': async file => {
    begin()
    let rest = Buffer.alloc(0)
    let sum = 0
    for await (const chunk of createReadStream(file)) {
      const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
      let from = 0
      for (let to; (to = bytes.indexOf(10, from)) !== -1; from = to + 1)
        sum += JSON.parse(bytes.toString('utf8', from, to)).review.length
      rest = bytes.subarray(from)
    }
    if (sum === 0) throw new Error('nothing came')
  },
  'csv: parseCsv': async file => {
    const { parseCsv } = await import('../dist/lib/index.js')
    begin()
    await pipeline(
      createReadStream(file),
      parseCsv(),
      sink(({ fields }) => fields.review),
    )
  },
  'csv: csv-parse': async file => {
    const { parse } = await import('csv-parse')
    begin()
    await pipeline(
      createReadStream(file),
      parse({ columns: true, bom: true }),
      sink(record => record.review),
    )
  },
}

const [name, file] = process.argv.slice(2)
if (name in CASES) await CASES[name](file)
else await compare()

async function compare() {
  const folder = mkdtempSync(join(tmpdir(), 'claude-batch-stream-bench-'))
  try {
    const files = { jsonl: join(folder, 'a.jsonl'), csv: join(folder, 'a.csv') }
    await pipeline(Readable.from(jsonl()), createWriteStream(files.jsonl))
    await pipeline(Readable.from(csv()), createWriteStream(files.csv))
    const rows = []
    const first = {}
    for (const name of Object.keys(CASES)) {
      const [format] = name.split(':')
      const run = () => measured(fileURLToPath(import.meta.url), [name, files[format]])
      const { cpuS, wallS, peakMB } = await medians(TIMES, run)
      first[format] ??= cpuS
      const ratio = `${(cpuS / first[format]).toFixed(2)}x`
      rows.push([name, cpuS.toFixed(2), wallS.toFixed(2), peakMB.toFixed(0), ratio])
    }
    console.log(machine())
    console.log()
    console.log(table(['case', 'CPU, s', 'wall, s', 'peak, MB', 'CPU against ours'], rows))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function review(n) {
  return `It broke after day ${n}, and the shop would not take it back, "ever"; so here we are: 2 stars`
}

function* jsonl() {
  for (let n = 0; n < RECORDS; n += 1000)
    yield Array.from({ length: 1000 }, (_, i) => line({ id: n + i, review: review(n + i) })).join(
      '',
    )
}

function line(record) {
  return `${JSON.stringify({ ...record, stars: 2, shop: 'north' })}\n`
}

function* csv() {
  yield 'id,review,stars,shop\n'
  for (let n = 0; n < RECORDS; n += 1000)
    yield Array.from(
      { length: 1000 },
      (_, i) => `${n + i},"${review(n + i).replaceAll('"', '""')}",2,north\n`,
    ).join('')
}
