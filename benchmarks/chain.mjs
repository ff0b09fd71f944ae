// What a stage costs a record that only passes: a million objects through chains of one and of six stages.
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { measured, medians } from './run.mjs'
import { table } from './table.mjs'

export const question = 'What does a stage cost each record?'

const CASES = {
  PassThrough: () => new PassThrough({ objectMode: true }),
  'stage(record => record)': ({ stage }) => stage(record => record),
  'spool()': ({ spool }) => spool(),
}

export async function ask({ smoke, tell }) {
  const count = smoke ? 100 : 300_000
  const rows = []
  for (const name of Object.keys(CASES)) {
    tell(name)
    const run = stages => () =>
      measured(fileURLToPath(import.meta.url), [name, String(stages), String(count)])
    const { one, six } = await medians(smoke ? 1 : 3, { one: run(1), six: run(6) })
    rows.push([name, (((six.cpuS - one.cpuS) / 5 / count) * 1e9).toFixed(0)])
  }
  return { text: table(['stage', 'CPU, ns a record and stage'], rows), goals: [] }
}

const [name, stages, count] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const library = await import('../dist/lib/index.js')
  const records = Array.from(
    { length: Number(count) },
    (_, n) => new library.SourceRecord(Buffer.from('{"n":1}'), { line: n + 1 }),
  )
  begin()
  await pipeline(
    Readable.from(records),
    library.chain(...Array.from({ length: Number(stages) }, () => CASES[name](library))),
    new Writable({ objectMode: true, write: (_record, _encoding, done) => done() }),
  )
}
