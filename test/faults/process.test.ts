// What only a real process shows: signals, and the three standard streams of a shell.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { csv, KEY, placeFor, type Place } from '../cli/world.ts'
import { ASK, PROGRAM, start, where } from './program.ts'
import { needs } from '../support/needs.ts'
import { within } from '../support/waiting.ts'

// Starts thirty processes, on a machine that may be busy.
t.setTimeout(300_000)

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(
    // PID 1 of a container has no default handlers, so only ours can end it (P09).
    `${signal === 'SIGTERM' ? 'P09 ' : ''}${signal} detaches: batches continue, and the printed command fetches them`,
    async t => {
      // The batch must not end before the signal arrives.
      let held = true
      let looks = 0
      const place = await placeFor(t, {
        faults: ({ op }) => {
          if (op !== 'retrieve' || !held) return undefined
          looks += 1
          return { stallMs: 'forever' }
        },
      })
      const running = start(t, [...where(place), ...ASK], csv(3))
      await running.until(() => looks > 0)
      running.child.kill(signal)
      const ended = await running.ended
      held = false
      t.equal(ended.code, code)
      t.same([ended.out, ended.said.length], ['', 1])
      const again = await place.again({ said: ended.said })
      t.equal(again.rows.length, 3)
      t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
    },
  )
}

t.test('SIGTERM ends the program although its rows are not read', async t => {
  const place = await placeFor(t, { batchTimeMs: 1, respond: () => 'x'.repeat(30_000) })
  const running = start(t, [...where(place), ...ASK, '--batch-size', '20'], csv(60))
  const exited = once(running.child, 'exit')
  running.child.stdout?.pause()
  const downloads = (): number =>
    place.emulator.ledger.calls().filter(({ op, status }) => op === 'results' && status === 200)
      .length
  await running.until(() => downloads() > 0)
  running.child.kill('SIGTERM')
  t.same(await within(exited, () => 'SIGTERM'), [143, null])
  running.child.stdout?.resume()
  const again = await place.again({ said: (await running.ended).said })
  t.equal(again.rows.length, 60)
})

t.test('an invalid command exits although its producer keeps writing', async t => {
  const running = start(t, ['-p', '{{nope}}'])
  running.child.stdin?.write(csv(50))
  t.equal((await running.ended).code, 6)
})

/** Runs a line of shell with the program as `$cbs`. */
function shell(place: Place, line: string): { code: number | null; out: string; err: string } {
  const env = {
    PATH: process.env['PATH'],
    ANTHROPIC_API_KEY: KEY,
    CLAUDE_BATCH_STREAM_PROGRESS: 'none',
    cbs: `${process.execPath} ${PROGRAM} ${where(place).join(' ')} --poll 10ms`,
  }
  const { status, stdout, stderr, error } = spawnSync('bash', ['--norc', '-c', line], {
    env,
    cwd: place.dir,
    timeout: 60_000,
  })
  if (error) throw new Error(`${line} did not end: ${error.message}; it said: ${stderr}`)
  return { code: status, out: stdout.toString(), err: stderr.toString() }
}

t.test('streams as a shell provides them', async t => {
  // Another process serves the API: this one waits for the shell.
  const running = start(t, ['emulate', '--batch-time', '20ms'])
  const url = await new Promise<string>(done =>
    running.child.stdout?.once('data', data => done(String(data).trim())),
  )
  const place = await placeFor(t, {}, { 'in.csv': csv(400), 'few.csv': csv(2) })
  const here = { ...place, emulator: { ...place.emulator, url } }
  const ask = `$cbs -p 'Say {{text}}'`

  await t.test('P01 a closed reader ends the program with a single line on stderr', async t => {
    const { out, err } = shell(
      here,
      `${ask} --batch-size 100 -c 1 -i in.csv | head -1; echo \${PIPESTATUS[0]}`,
    )
    t.match(out, /^\{"id":"0".*\n141\n$/)
    t.match(err, /^to continue: claude-batch-stream resume .*\n$/)
  })
  await t.test('F04 a full stdout is exit 9, not 0', needs('/dev/full'), async t => {
    const { code, err } = shell(here, `${ask} -i few.csv > /dev/full`)
    t.equal(code, 9)
    t.match(err, /ENOSPC/)
    t.equal(shell(here, 'node "$0" --help > /dev/full'.replace('"$0"', PROGRAM)).code, 9)
  })
  await t.test('P06 a closed stdin counts as no input', async t => {
    for (const stdin of ['<&-', '</dev/null']) {
      const { code, out, err } = shell(here, `${ask} ${stdin}`)
      t.same([code, out], [0, ''], stdin)
      t.match(err, 'no input')
    }
  })
  for (const [how, stderr, option] of [
    ['closed', '2>&-', {}],
    ['full', '2>/dev/full', needs('/dev/full')],
    ['gone', '2> >(exec true)', {}],
  ] as const)
    await t.test(`P10 a stderr that is ${how} does not end the run`, option, async t => {
      const { code, out } = shell(here, `${ask} -v --fresh -i few.csv ${stderr}`)
      t.same([code, out.split('\n').length], [0, 3])
    })
  await t.test('an endless producer is stopped', async t => {
    const { code, out } = shell(here, `yes '{"text":"x"}' | ${ask} --limit 2 --to text`)
    t.same([code, out.split('\n').length], [0, 3])
  })
  await t.test('the program prints its usage and its version', async t => {
    t.match(readFileSync(PROGRAM, 'utf8'), /^#!\/usr\/bin\/env node\n/)
    t.match(shell(here, `node ${PROGRAM} --version`), { code: 0, out: /^\d+\.\d+\.\d+\n$/ })
  })
  await t.test('a process under nohup or in its own session keeps running', async t => {
    t.equal(shell(here, `nohup ${ask} -i few.csv --fresh`).code, 0)
  })

  running.child.kill('SIGTERM')
  t.equal((await running.ended).code, 143)
})

t.test(
  'two signals end a process that reads a file of settings from a silent pipe',
  needs('/proc/self/status'),
  async t => {
    const place = await placeFor(t, {}, { 'in.csv': csv(1) })
    const pipe = place.path('pipe')
    t.equal(spawnSync('mkfifo', [pipe]).status, 0)
    const running = start(t, [
      ...where(place),
      ...ASK,
      '-i',
      place.path('in.csv'),
      '--schema',
      pipe,
    ])
    const { child } = running
    // Until then, a signal ends any process.
    await running.until(() => catches(child.pid, 15))
    child.kill('SIGTERM')
    child.kill('SIGINT')
    await running.ended
    t.match(child.signalCode, /^SIG(TERM|INT)$/)
  },
)

/** Whether a process has a listener of a signal. */
function catches(pid: number | undefined, signal: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const [, caught = '0'] = /^SigCgt:\s*(\w+)$/m.exec(status) ?? []
  return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n
}
