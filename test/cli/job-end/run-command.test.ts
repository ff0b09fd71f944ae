import * as child from 'node:child_process'
import t from 'tap'
import { runCommand } from '../../../lib/cli/job-end/run-command.ts'
import { Collected, until } from '../world.ts'

const never = new AbortController().signal
const env = { PATH: process.env['PATH'] }

t.test('a process that a command leaves behind is not awaited', async t => {
  const stderr = new Collected()
  const began = Date.now()
  const command = 'sleep 60 & echo $!; exit 3'
  const why = await runCommand(command, '{}', { env, stderr }, never, { restMs: 50 })
  t.equal(why, 'it exited with 3')
  t.ok(Date.now() - began < 30_000)
  const left = Number(stderr.text)
  t.ok(process.kill(left), 'it still runs')
})

t.test('all output of a command is shown', async t => {
  const stderr = new Collected()
  const command = 'cat; seq 1 20000; echo end >&2'
  t.equal(await runCommand(command, 'begin\n', { env, stderr }, never), undefined)
  t.match(stderr.text, /^begin\n1\n/m)
  t.match(stderr.text, /\n20000\n/)
  t.match(stderr.text, /^end$/m)
})

t.test('a signal terminates a command, even one that ignores SIGTERM', async t => {
  for (const trap of ['', "trap '' TERM; "]) {
    const stderr = new Collected()
    const stop = new AbortController()
    const command = `${trap}echo $$; while :; do sleep 0.05; done`
    const ran = runCommand(command, '', { env, stderr }, stop.signal, { restMs: 50 })
    await until(() => stderr.text !== '')
    stop.abort()
    t.match(await ran, /it was stopped|it was killed by SIGTERM/)
    try {
      process.kill(Number(stderr.text), 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
})

t.test('a command that cannot be started is reported', async t => {
  // t.mockImport loads the module with this in place of Node's.
  const { runCommand: shellLess } = (await t.mockImport('../../../lib/cli/job-end/run-command.ts', {
    'node:child_process': {
      ...child,
      spawn: (_: string, args: string[], options: child.SpawnOptions) =>
        child.spawn('/no/such/shell', args, options),
    },
  })) as typeof import('../../../lib/cli/job-end/run-command.ts')
  const why = await shellLess('true', '', { env, stderr: new Collected() }, never)
  t.match(why, 'it could not be started: spawn /no/such/shell ENOENT')
})

t.test('a command that does not finish is terminated', async t => {
  const stderr = new Collected()
  const why = await runCommand('exec sleep 60', '', { env, stderr }, never, { mostMs: 50 })
  t.equal(why, 'it did not finish within 0.05 s')
})

t.test('a command that is killed by a signal reports it', async t => {
  const why = await runCommand('kill -9 $$', '', { env, stderr: new Collected() }, never)
  t.equal(why, 'it was killed by SIGKILL')
})
