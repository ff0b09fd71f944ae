// Runs a whole job on the built-in emulator, without a key and at no cost: one question about the opening of every State of the
// Union address, in three batches. The emulator breaks the connection right after it has accepted the second batch.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createEmulator, lastUserText } from 'claude-batch-stream/emulator'

const program = fileURLToPath(new URL('../dist/bin/claude-batch-stream.js', import.meta.url))
const data = fileURLToPath(new URL('data/state-of-the-union.csv', import.meta.url))
const prompt = 'In one word, what does {{president}} open with in {{year}}? {{opening}}'

/** The emulator answers with the first of these themes that occurs in the text. */
const THEMES = {
  war: /\b(war|wars|enem\w+|hostilit\w+|attack\w*|battle\w*)\b/i,
  economy: /\b(econom\w+|jobs?|commerce|trade|credit|recession|inflation|treasury)\b/i,
  harvest: /\b(harvest\w*|agricultur\w+|crops?|abundan\w+)\b/i,
  peace: /\b(peace\w*|friendship|harmony)\b/i,
  union: /\b(union|constitution\w*|states)\b/i,
  Congress: /\b(congress|session|gentlemen|senators?)\b/i,
}

const { isTTY = false } = process.stdout
const colours = isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
const [bold, faint, red, green] = [1, 2, 31, 32].map(
  code => text => (colours ? `\x1b[${code}m${text}\x1b[0m` : text),
)
// The program draws its progress line on the same terminal: clear that line before printing another.
const start = isTTY ? '\r\x1b[J' : ''
const say = (line = '') => process.stdout.write(`${start}${line}\n`)

const emulator = await createEmulator({
  batchTimeMs: 600,
  respond: params => themeOf(lastUserText(params).split('? ').slice(1).join('? ')),
  faults: [{ on: 'create', nth: 2, when: 'after', reset: true }],
})
const stateDir = mkdtempSync(join(tmpdir(), 'claude-batch-stream-demo-'))
try {
  say(
    faint('This demo runs an emulated Message Batches API, which answers by looking for keywords.'),
  )
  say(faint('It breaks the connection right after it has accepted the second batch.'))
  say()
  say(`${bold('$')} claude-batch-stream -i examples/data/state-of-the-union.csv \\`)
  say(`    -p '${prompt}' \\`)
  say(`    --max-tokens 16 --batch-size 80`)
  say()
  const began = Date.now()
  const { code, rows } = await run()
  const seconds = ((Date.now() - began) / 1000).toFixed(1)
  const { batches, billed, billedTwice } = await emulator.ledger.totals()
  say()
  say(
    `${bold(String(rows))} rows from ${batches} batches in ${seconds} s; one row per decade is shown.`,
  )
  say(`The API billed ${billed} requests, ${billedTwice || 'none'} of them twice.`)
  process.exitCode = code === 0 && rows === billed && billedTwice === 0 ? 0 : 1
} finally {
  await emulator.close()
  rmSync(stateDir, { recursive: true, force: true })
}

/** Runs the program and prints its rows as they arrive. */
async function run() {
  const words = ['-i', data, '-p', prompt, '--max-tokens', '16', '--batch-size', '80']
  const child = spawn(process.execPath, [program, ...words, '--poll', '100ms'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      ANTHROPIC_API_KEY: 'no-key-is-needed',
      ANTHROPIC_BASE_URL: emulator.url,
      CLAUDE_BATCH_STREAM_STATE_DIR: stateDir,
    },
  })
  const exit = new Promise(resolve => child.on('close', resolve))
  let rows = 0
  for await (const line of createInterface({ input: child.stdout })) {
    rows++
    show(JSON.parse(line))
  }
  return { code: await exit, rows }
}

function show({ year, president, opening, response, _batch }) {
  if (Number(year) % 10 !== 0) return
  const mark = _batch.status === 'succeeded' ? green('✓') : red('✗')
  const start = opening.replace(/^[^:]{0,90}: /, '').slice(0, 34)
  say(
    `${mark} ${year} ${president.padEnd(22)} ${bold((response ?? '').padEnd(9))} ${faint(`${start}…`)}`,
  )
}

function themeOf(text) {
  return Object.keys(THEMES).find(theme => THEMES[theme].test(text)) ?? 'other'
}
