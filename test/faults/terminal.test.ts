// What only a terminal shows: the progress line, Ctrl-C, the command that resumes, the question for a new cap.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { csv, KEY, placeFor, until, wordsOf, type Place } from '../cli/world.ts'
import { noTerminal, onTerminal, screenOf } from '../support/pty.ts'
import { PROGRAM, where } from './program.ts'

t.setTimeout(300_000)
const skip = noTerminal() ?? false
const ENV = { ANTHROPIC_API_KEY: KEY }
const HIDDEN = '\r\u001b[J'

/** A shell command that runs the program in a place and writes rows to a file. */
const ask = (place: Place, ...more: readonly string[]): string =>
  [
    ...[process.execPath, PROGRAM, ...where(place), '-i', place.path('in.csv')],
    ...["-p 'Say {{text}}' --poll 10ms --settle 200ms --job night", ...more],
  ].join(' ')

/** Whether no process uses the job any more. */
function isFree(place: Place): boolean {
  const words = [PROGRAM, 'status', 'night', '--json', '--state-dir', place.state]
  const { stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  return JSON.parse(stdout).state === 'unfinished'
}

/** The final lines on the screen. */
const linesOf = (text: string): string[] =>
  text.split(/\r?\n/).map(line => (line.split(HIDDEN).at(-1) ?? '').replaceAll('\r', ''))

/** The command on the screen that continues. */
function nextOn(text: string): string[] {
  const said = linesOf(text).flatMap(
    line => /^to continue: (claude-batch-stream .*)$/.exec(line)?.[1] ?? [],
  )
  return wordsOf(said.at(-1) ?? '').slice(1)
}

t.test('the line shows progress, and Ctrl-C leaves the command that resumes', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 }, { 'in.csv': csv(3) })
  const screen = onTerminal(t, `${ask(place)} > ${place.path('out')}`, ENV)
  await screen.until(text => /3 records, 0 of 1 batch done, 0 rows, 1 running: \d+s/.test(text))

  screen.type('\u0003')
  t.equal(await screen.ended, 130)
  const words = nextOn(screen.text)
  t.match(words, ['resume', 'night', '--state-dir', place.state])
  t.same(
    linesOf(screen.text).filter(line => /records/.test(line)),
    [],
    'the line is gone',
  )

  await t.test('the printed command resumes the job', async t => {
    const [batch] = place.emulator.ledger.batches()
    const api = `${place.emulator.url}/v1/messages/batches/${batch?.id}/cancel`
    await fetch(api, {
      method: 'POST',
      headers: { 'x-api-key': KEY, 'anthropic-version': '2023-06-01' },
    })
    const again = onTerminal(t, `${[process.execPath, PROGRAM, ...words].join(' ')} --to text`, ENV)
    t.equal(await again.ended, 3, 'what was canceled is no success')
    t.match(linesOf(again.text).join('\n'), /^job night: 3 rows: .*canceled/m)
    t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  })
})

t.test('rows and progress share a screen without disturbing each other', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 300 }, { 'in.csv': csv(5) })
  const screen = onTerminal(t, ask(place, '--to text -c 1 --batch-size 2'), ENV)
  t.equal(await screen.ended, 0)
  t.match(screen.text, /\d of \d batch(es)? done/)
  const lines = linesOf(screen.text).filter(line => line !== '')
  t.equal(lines.filter(line => /^echo \w+: Say text \d$/.test(line)).length, 5)
  t.match(lines.slice(5), [/^job night: 5 rows/, /^job night: spent/])
  t.equal(lines.length, 7)
})

t.test('no part of the progress line stays on the screen', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 600 }, { 'in.csv': csv(4) })
  const echoed = /^echo \w+: Say text \d$/

  await t.test('with --detach, which prints the name of the job', async t => {
    const screen = onTerminal(t, `${ask(place, '--detach')}`, ENV)
    t.equal(await screen.ended, 0)
    t.match(screen.text, /records/, 'the line was drawn')
    t.match(screenOf(screen.text), [/^night$/, /^to continue: /])
    t.equal(screenOf(screen.text).length, 2)
  })

  await t.test('with another program that prints the rows', async t => {
    const slowly = `while read -r row; do sleep 0.05; printf '%s\\n' "$row"; done`
    const rows = ask(place, '--fresh --to text -c 1 --batch-size 2')
    const screen = onTerminal(t, `${rows} | { ${slowly}; }`, ENV)
    t.equal(await screen.ended, 0)
    t.match(screen.text, /\d of \d batch(es)? done/)
    const lines = screenOf(screen.text).filter(line => !line.startsWith('job night'))
    t.equal(lines.length, 4, screen.text)
    for (const line of lines) t.match(line, echoed)
  })

  await t.test('with rows that go to the terminal by its name', async t => {
    const screen = onTerminal(t, ask(place, '--fresh --to text -o /dev/tty'), ENV)
    t.equal(await screen.ended, 0)
    const lines = screenOf(screen.text).filter(line => !line.startsWith('job night'))
    t.equal(lines.filter(line => echoed.test(line)).length, 4, screen.text)
    t.equal(lines.length, 4, screen.text)
  })

  await t.test('with a command that runs when the job ends', async t => {
    const command = `"printf half; sleep 1.5; echo done"`
    const more = `--fresh --on-complete ${command} > ${place.path('out')}`
    const screen = onTerminal(t, ask(place, more), ENV)
    t.equal(await screen.ended, 0)
    t.equal(screenOf(screen.text).at(-1), 'halfdone')
  })

  await t.test('with the demo that prints its rows', async t => {
    const screen = onTerminal(t, `env -u NODE_OPTIONS ${process.execPath} examples/demo.mjs`, {})
    t.equal(await screen.ended, 0)
    for (const line of screenOf(screen.text)) t.notMatch(line, /records.*done|(left|running.*)$/)
    t.equal(screenOf(screen.text).filter(line => /^✓ \d{4} .*…$/.test(line)).length, 24)
  })
})

t.test('a terminal that becomes narrower gets a progress line that fits', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 }, { 'in.csv': csv(3) })
  const screen = onTerminal(t, `tty > ${place.path('tty')}; ${ask(place)} > /dev/null`, ENV)
  await screen.until(text => /1 running: \d+s/.test(text))
  const before = screen.text.length
  const device = readFileSync(place.path('tty'), 'utf8').trim()
  execFileSync('stty', ['-F', device, 'cols', '25'])
  await screen.until(text => /\u001b\[J3 records\r/.test(text.slice(before)))
  screen.type('\u0003')
  t.equal(await screen.ended, 130)
})

t.test('the width, a dumb terminal, -q and NO_COLOR are respected', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 300 }, { 'in.csv': csv(3) })
  const shown = async (more: string, env = {}, columns = 100): Promise<string> => {
    const screen = onTerminal(t, `${ask(place, more)} > /dev/null`, { ...ENV, ...env }, columns)
    await screen.ended
    return screen.text
  }
  const narrow = await shown('--fresh', {}, 40)
  for (const [, line = ''] of narrow.matchAll(/\u001b\[J([^\r\n]*)\r(?!\n)/g))
    t.ok(line.length < 40, line)
  t.notMatch(await shown('--fresh -q'), /./)
  const dumb = await shown('--fresh', { TERM: 'dumb' })
  t.notMatch(dumb, '\u001b')
  t.match(dumb, /^batch 1: 3 requests submitted/m)
  t.match(await shown('--nope'), /^\u001b\[1;31mclaude-batch-stream:\u001b\[0m /)
  t.match(await shown('--nope', { NO_COLOR: '1' }), /^claude-batch-stream: /)
})

t.test('a closed terminal detaches, and the batch continues', { skip }, async t => {
  const place = await placeFor(t, { batchTimeMs: 1000 }, { 'in.csv': csv(3) })
  const screen = onTerminal(t, `${ask(place)} > ${place.path('out')}`, ENV)
  await screen.until(text => /1 running: \d+s/.test(text))
  screen.close()
  await until(() => isFree(place))
  const ran = await place.run(['resume', 'night'])
  t.equal(ran.rows.length, 3)
  t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})

t.test(
  'at its cap a run asks on the terminal, and continues with the answer',
  { skip },
  async t => {
    const respond = (): string => 'x'.repeat(400)
    const place = await placeFor(t, { batchTimeMs: 50, respond }, { 'in.csv': csv(20) })
    const more = '-t 100 --batch-size 4 --max-cost 0.0004'
    const screen = onTerminal(t, `${ask(place, more)} > ${place.path('out')}`, ENV)
    await screen.until(text => /or press Enter to stop: \$/.test(text))
    const asked = screen.text.length
    screen.type('1\r')
    t.equal(await screen.ended, 0)
    t.match(screen.text.slice(0, asked), /New cap \(at least/)
    t.equal(readFileSync(place.path('out'), 'utf8').trim().split('\n').length, 20)
  },
)
