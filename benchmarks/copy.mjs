// Result lines found and copied, none of them parsed, as a row takes its answer over; against a bare scan for newlines.
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { mediansOf, scratch } from './run.mjs'
import { cells, COSTS, table } from './table.mjs'

export const question = 'What does it cost to copy result bytes?'

const NEWLINE = 0x0a
const SIZES = [
  { line: '1 KB', length: 1000, count: 500_000 },
  { line: '64 KB', length: 64_000, count: 8000 },
]

const CASES = {
  'lines copied': async file => {
    const { Splitter } = await import('../build/lib/core/line-splitter.js')
    const { RowBytes } = await import('../build/lib/stages/write/row-bytes.js')
    begin()
    const splitter = new Splitter({ reuse: true })
    const rows = new RowBytes()
    let bytes = 0
    for await (const chunk of createReadStream(file))
      for (const line of splitter.push(chunk))
        bytes += rows.begin().bytes(line.bytes).text('\n').take().length
    if (bytes === 0) throw new Error('nothing came')
  },
  'a bare scan': async file => {
    begin()
    let lines = 0
    for await (const chunk of createReadStream(file))
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines++
    if (lines === 0) throw new Error('nothing came')
  },
}

export async function ask({ smoke, tell }) {
  const folder = scratch()
  const rows = []
  const ratios = []
  try {
    for (const { line, length, count } of SIZES) {
      tell(`${line} lines`)
      const file = join(folder.path, 'results.jsonl')
      await pipeline(Readable.from(lines(length, smoke ? 10 : count)), createWriteStream(file))
      const costs = await mediansOf(import.meta.url, CASES, smoke ? 1 : 5, () => [file])
      for (const [name, cost] of Object.entries(costs)) rows.push([line, name, ...cells(cost)])
      const ratio = costs['a bare scan'].cpuS / costs['lines copied'].cpuS
      ratios.push(`${line}: ${ratio.toFixed(2)}`)
    }
  } finally {
    folder[Symbol.dispose]()
  }
  return {
    text: table(['lines', 'case', ...COSTS], rows),
    goals: [
      {
        what: 'result bytes copied without parsing, against a bare newline scan',
        goal: '>= 0.6',
        measured: ratios.join('; '),
      },
    ],
  }
}

function* lines(length, count) {
  const message = { content: [{ type: 'text', text: 'x'.repeat(length) }] }
  for (let n = 0; n < count; n++)
    yield `${JSON.stringify({ custom_id: `r-${n}`, result: { type: 'succeeded', message } })}\n`
}

const [name, file] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](file)
