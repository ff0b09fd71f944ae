// Every folder below test/cases is the command line at work: `cmd` holds command lines, `input` what comes on stdin,
// `faults.json` what the API does; `expout`, `experr` and `exit` are what comes of the last of them (exit 0 where there is no
// such file), expout and experr of all. UPDATE_CASES=1 writes them anew, to be read with `git diff`.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { FaultRule } from '../lib/emulator/index.ts'
import { createEmulator } from '../lib/emulator/index.ts'
import { KEY, run, wordsOf } from './cli/world.ts'

const CASES = join(import.meta.dirname, 'cases')
const home = process.cwd()

for (const command of readdirSync(CASES)) {
  for (const name of readdirSync(join(CASES, command))) {
    t.test(`${command}: ${name.replaceAll('-', ' ')}`, async t => {
      const folder = join(CASES, command, name)
      const seen = await runCase(folder, t.testdir({}))
      if (process.env['UPDATE_CASES']) return update(folder, seen)
      t.equal(seen.out, expected(folder, 'expout'), 'stdout')
      t.equal(seen.err, expected(folder, 'experr'), 'stderr')
      t.equal(seen.code, Number(expected(folder, 'exit') || 0), 'exit code')
    })
  }
}

interface Seen {
  readonly out: string
  readonly err: string
  readonly code: number
}

async function runCase(folder: string, dir: string): Promise<Seen> {
  cpSync(folder, dir, { recursive: true })
  const faults: readonly FaultRule[] = JSON.parse(expected(folder, 'faults.json') || '[]')
  await using emulator = await createEmulator({ batchTimeMs: 20, faults })
  const state = join(dir, 'state')
  const env = {
    ANTHROPIC_API_KEY: KEY,
    CLAUDE_BATCH_STREAM_STATE_DIR: state,
    CLAUDE_BATCH_STREAM_BASE_URL: emulator.url,
    CLAUDE_BATCH_STREAM_POLL: '10ms',
    CLAUDE_BATCH_STREAM_SETTLE: '200ms',
  }
  const plain = (text: string): string =>
    text
      .replaceAll(
        ` --state-dir ${state} --base-url ${emulator.url} --poll 10ms --settle 200ms`,
        ' ...',
      )
      .replaceAll(emulator.url, '$URL')
      .replaceAll(dir, '$DIR')
      .replaceAll(/(msg|msgbatch|req)_\w{12,}/g, '$1_...')
      .replaceAll(/msg_\w+/g, 'msg_...')
      .replaceAll(/"[0-9a-z]{10}(-\d-[0-9a-z]+)"/g, '"RUN$1"')
  const seen = { out: '', err: '', code: 0 }
  process.chdir(dir)
  try {
    for (const line of expected(folder, 'cmd').trim().split('\n')) {
      const [, ...words] = wordsOf(line)
      const stdin = existsSync('input') ? readFileSync('input') : undefined
      const ran = await run(words, { stdin, env })
      seen.out += plain(ran.out)
      seen.err += plain(ran.err)
      seen.code = ran.code
    }
  } finally {
    process.chdir(home)
  }
  return seen
}

function expected(folder: string, name: string): string {
  const path = join(folder, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function update(folder: string, { out, err, code }: Seen): void {
  const texts = { expout: out, experr: err, exit: code === 0 ? '' : `${code}\n` }
  for (const [name, text] of Object.entries(texts)) {
    rmSync(join(folder, name), { force: true })
    if (text !== '') writeFileSync(join(folder, name), text)
  }
}
