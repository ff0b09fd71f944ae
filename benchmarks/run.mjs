// Runs a case in a separate process, against an emulator in another, and measures its CPU time and peak memory.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PROGRAM = fileURLToPath(new URL('../dist/bin/claude-batch-stream.js', import.meta.url))
const MEASURE = new URL('measure.mjs', import.meta.url).href
const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url))

/** Runs a file to its end. Returns `{ peakMB, cpuS, wallS }`, or `{ died }` with the end of its output if it fails. */
export async function attempt(file, words = [], { env = {}, nodeFlags = [] } = {}) {
  const child = spawn(process.execPath, [...nodeFlags, '--import', MEASURE, file, ...words], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
  })
  let measures
  let said = ''
  child.on('message', message => (measures = message))
  child.stderr.on('data', text => (said += text))
  const [code, signal] = await once(child, 'close')
  return code === 0 && measures ? measures : { died: `${signal ?? code}: ${said.slice(-600)}` }
}

/** The same for a case that must succeed. */
export async function measured(file, words, options) {
  const measures = await attempt(file, words, options)
  if (measures.died) throw new Error(`${file} ${words.join(' ')} ended with ${measures.died}`)
  return measures
}

/** Runs each case the given number of times, in turns, since the load of a machine varies. Returns the medians by name. */
export async function medians(times, cases) {
  const all = Object.fromEntries(Object.keys(cases).map(name => [name, []]))
  for (let time = 0; time < times; time++)
    for (const [name, run] of Object.entries(cases)) all[name].push(await run())
  return Object.fromEntries(
    Object.entries(all).map(([name, runs]) => [
      name,
      Object.fromEntries(Object.keys(runs[0]).map(key => [key, median(runs.map(run => run[key]))])),
    ]),
  )
}

/** The same for the cases of one file, which is run with the name of the case and fresh arguments from `wordsOf`. */
export async function mediansOf(url, cases, times, wordsOf) {
  const run = name => () => measured(fileURLToPath(url), [name, ...wordsOf()])
  const names = Object.keys(cases)
  return await medians(times, Object.fromEntries(names.map(name => [name, run(name)])))
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

/** An emulator in a process of its own; its settings are those of server.mjs. */
export async function startServer(settings = {}) {
  const child = spawn(
    process.execPath,
    ['--max-old-space-size=8000', SERVER, JSON.stringify(settings)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const [url] = await once(child.stdout, 'data')
  return { url: String(url).trim(), [Symbol.dispose]: () => child.kill() }
}

/** A folder that is gone at the end. */
export function scratch() {
  const path = mkdtempSync(join(tmpdir(), 'claude-batch-stream-bench-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
