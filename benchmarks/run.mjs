// What the benchmarks share: every case is a process of its own, measured at its end.
import { spawn } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

export const PROGRAM = fileURLToPath(new URL('../dist/bin/claude-batch-stream.js', import.meta.url))
const MEASURE = new URL('measure.mjs', import.meta.url).href

/** Runs a case to its end; gives `{ peakMB, cpuS, wallS }`. */
export async function measured(file, words = [], { env = {}, nodeFlags = [] } = {}) {
  const child = spawn(process.execPath, [...nodeFlags, '--import', MEASURE, file, ...words], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
  })
  let measures
  let said = ''
  child.on('message', message => (measures = message))
  child.stderr.on('data', text => (said += text))
  const code = await new Promise(resolve => child.on('close', resolve))
  if (code !== 0) throw new Error(`${file} ${words.join(' ')} ended with ${code}: ${said}`)
  return measures
}

/** A case several times over; gives the median of each measure. */
export async function medians(times, run) {
  const all = []
  for (let time = 0; time < times; time++) all.push(await run())
  return Object.fromEntries(Object.keys(all[0]).map(key => [key, median(all.map(one => one[key]))]))
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

/** An emulator in a process of its own; gives its URL and what ends it. */
export async function emulator(...words) {
  const child = spawn(process.execPath, [PROGRAM, 'emulate', ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const url = await new Promise(resolve => child.stdout.once('data', text => resolve(`${text}`)))
  return { url: url.trim(), stop: () => child.kill() }
}

/** What stands above every table of numbers. */
export function machine() {
  const [cpu] = cpus()
  const date = new Date().toISOString().slice(0, 10)
  return `${date}, Node ${process.version}, ${process.platform} ${release().split('-')[0]}, ${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB`
}

export function table(head, rows) {
  const line = cells => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
