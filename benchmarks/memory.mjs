// Does memory grow with the input? The whole durable job, JSONL to JSONL, against an emulator in a process of its own: the
// peak of our process at 100,000 and at 1,000,000 records. With --emulate the emulator is in the same process.
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { emulator, machine, measured, PROGRAM, table } from './run.mjs'

const COUNTS = (process.argv[2] ?? '1000,100000,1000000').split(',').map(Number)

const folder = mkdtempSync(join(tmpdir(), 'claude-batch-stream-bench-'))
const rows = []
try {
  for (const count of COUNTS) {
    const input = join(folder, `${count}.jsonl`)
    await pipeline(Readable.from(lines(count)), createWriteStream(input))
    const own = await emulator('--batch-time', '1s')
    const base = ['-i', input, '--poll', '200ms', '-q', '-p', 'Sentiment of: {{review}}']
    const apart = await run(count, base, {
      ANTHROPIC_BASE_URL: own.url,
      ANTHROPIC_API_KEY: 'any',
    })
    own.stop()
    const together = await run(count, [...base, '--emulate'], {})
    rows.push([count.toLocaleString('en'), ...shown(apart), ...shown(together)])
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

console.log(machine())
console.log()
console.log(
  table(
    ['records', 'peak, MB', 'CPU, s', 'wall, s', '--emulate: peak, MB', 'CPU, s', 'wall, s'],
    rows,
  ),
)

async function run(count, words, env) {
  const state = join(folder, `state-${count}`)
  const numbers = await measured(PROGRAM, [...words, '--state-dir', state], { env })
  rmSync(state, { recursive: true, force: true })
  return numbers
}

function shown({ peakMB, cpuS, wallS }) {
  return [peakMB.toFixed(0), cpuS.toFixed(1), wallS.toFixed(1)]
}

function* lines(count) {
  let block = ''
  for (let n = 0; n < count; n++) {
    block += `{"id":${n},"review":"Broke after day ${n}, and the shop would not take it back"}\n`
    if (block.length < 65_536) continue
    yield block
    block = ''
  }
  yield block
}
