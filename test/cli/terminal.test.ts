// The program in a terminal of its own, made by script(1) of util-linux.
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { quote } from '../../lib/cli/finish.ts'
import { openTerminal } from '../../lib/cli/terminal.ts'
import { PROGRAM, where } from '../faults/program.ts'
import { csv, KEY, placeFor, until } from './world.ts'

const found = spawnSync('script', ['-qec', 'test -t 1', '/dev/null']).status === 0

t.test(
  'a question about the cap is asked on the terminal, even if stdin and stdout are files',
  { skip: !found && 'there is no script(1) here that makes a terminal' },
  async t => {
    const place = await placeFor(t, { respond: () => 'x'.repeat(400) })
    writeFileSync(place.path('in.csv'), csv(30))
    const words = [
      ...['-p', 'Say {{text}}', '-t', '100', '--batch-size', '4', '--job', 'j'],
      ...['--max-cost', '0.0004', '--poll', '10ms', ...where(place)],
    ]
    const [input, output] = [place.path('in.csv'), place.path('out.jsonl')].map(quote)
    const command = [process.execPath, PROGRAM, ...words].map(quote).join(' ')
    const child = spawn('script', ['-qec', `${command} < ${input} > ${output}`, '/dev/null'], {
      env: { PATH: process.env['PATH'], ANTHROPIC_API_KEY: KEY, TERM: 'dumb' },
    })
    t.teardown(() => child.kill('SIGKILL'))
    let screen = ''
    child.stdout.on('data', chunk => (screen += chunk))
    await until(() => screen.includes('New cap (at least'))
    child.stdin.write('1\r')
    const code = await new Promise(resolve => child.once('close', resolve))
    t.equal(code, 0, screen)
    t.equal(place.read('out.jsonl').split('\n').length - 1, 30)
  },
)

t.test('without a terminal no question is asked', async t => {
  t.equal(openTerminal(`${t.testdir()}/tty`), undefined)
  t.equal(openTerminal('/dev/null'), undefined)
})

t.test(
  'a terminal is opened for reading and writing, and does not keep the program alive once closed',
  { skip: process.platform !== 'linux' && 'only Linux makes a terminal of each opened /dev/ptmx' },
  async t => {
    const terminal = openTerminal('/dev/ptmx')
    t.match(terminal, { input: { isTTY: true }, output: { isTTY: true } })
    terminal?.close()
    t.match(terminal, { input: { destroyed: true }, output: { destroyed: true } })
  },
)
