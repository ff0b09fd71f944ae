// parseCsv against bare csv-parse.
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { mediansOf, scratch } from './run.mjs'
import { cells, COSTS, table, times } from './table.mjs'

export const question = 'How fast does CSV become records?'

function sink(fieldOf) {
  let sum = 0
  return new Writable({
    objectMode: true,
    write(record, _encoding, done) {
      sum += fieldOf(record).length
      done()
    },
    final(done) {
      if (sum === 0) throw new Error('nothing came')
      done()
    },
  })
}

const CASES = {
  parseCsv: async file => {
    const { parseCsv } = await import('../dist/lib/index.js')
    begin()
    await pipeline(
      createReadStream(file),
      parseCsv(),
      sink(({ fields }) => fields.review),
    )
  },
  'csv-parse': async file => {
    const { parse } = await import('csv-parse')
    begin()
    const options = { columns: true, bom: true }
    await pipeline(
      createReadStream(file),
      parse(options),
      sink(({ review }) => review),
    )
  },
}

export async function ask({ smoke, tell }) {
  const folder = scratch()
  try {
    const file = join(folder.path, 'a.csv')
    await pipeline(Readable.from(csv(smoke ? 100 : 400_000)), createWriteStream(file))
    tell('400,000 rows')
    const costs = await mediansOf(import.meta.url, CASES, smoke ? 1 : 5, () => [file])
    const ratio = costs['csv-parse'].cpuS / costs.parseCsv.cpuS
    return {
      text: table(
        ['case', ...COSTS],
        Object.entries(costs).map(([name, cost]) => [name, ...cells(cost)]),
      ),
      goals: [
        {
          what: 'CSV to records against bare csv-parse',
          goal: 'hold 1.1x, aim 2x',
          measured: times(ratio),
        },
      ],
    }
  } finally {
    folder[Symbol.dispose]()
  }
}

function* csv(count) {
  yield 'id,review,stars,shop\n'
  for (let n = 0; n < count; n++)
    yield `${n},"It broke after day ${n}, and the shop would not take it back, ""ever""; so here we are",2,north\n`
}

const [name, file] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](file)
