// Blocks of the documents that show a terminal: each command is run as it stands there, and prints what stands below it.
// UPDATE_CONSOLE=1 writes anew what they print, to be read with `git diff`.
import { execFile } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createEmulator } from '../lib/emulator/index.ts'

const root = join(import.meta.dirname, '..')
const program = join(root, 'dist/bin/claude-batch-stream.js')
const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]
const BLOCK = /^```console\n([^]*?)^```$/gm

t.before(() => {
  if (!existsSync(program))
    throw new Error('the documents show what is built: `npm run build` first')
})

for (const document of DOCUMENTS) {
  const path = join(root, document)
  const text = readFileSync(path, 'utf8')
  for (const [at, [, shown = '']] of [...text.matchAll(BLOCK)].entries()) {
    t.test(`${document}, terminal ${at + 1}, prints what it shows`, async t => {
      const seen = await replay(t, shown)
      if (process.env['UPDATE_CONSOLE'])
        writeFileSync(
          path,
          readFileSync(path, 'utf8').replace(shown, () => seen),
        )
      else t.equal(seen, shown)
    })
  }
}

/** Runs the commands of a block in one folder, and gives the block as it came out. */
async function replay(t: Test, shown: string): Promise<string> {
  const emulator = await createEmulator({ batchTimeMs: 500 })
  t.teardown(() => emulator.close())
  const shim = `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`
  const dir = t.testdir({ bin: { 'claude-batch-stream': shim } })
  cpSync(join(root, 'examples/data'), dir, { recursive: true })
  chmodSync(join(dir, 'bin/claude-batch-stream'), 0o755)
  const env = {
    PATH: `${join(dir, 'bin')}:${process.env['PATH']}`,
    ANTHROPIC_BASE_URL: emulator.url,
    ANTHROPIC_API_KEY: 'any',
    XDG_STATE_HOME: join(dir, 'state'),
    CLAUDE_BATCH_STREAM_POLL: '50ms',
  }
  let seen = ''
  for (const line of shown.split('\n')) {
    if (!line.startsWith('$ ')) continue
    const printed = await new Promise<string>(resolve => {
      const words = ['-c', `{ ${line.slice(2)}\n} 2>&1`]
      execFile('sh', words, { cwd: dir, env }, (_, out) => resolve(out))
    })
    // How the test looks so often is nothing that a reader has typed.
    seen += `${line}\n${printed.replaceAll(' --poll 50ms', '')}`
  }
  return seen
}
