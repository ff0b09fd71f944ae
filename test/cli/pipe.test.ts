import { execFileSync, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { openPipe } from '../../lib/cli/pipe.ts'
import { csv, journaled, placeFor, rowsOf, until, type Place } from './world.ts'

const ASK = ['-p', 'Say {{text}}']

async function withPipe(t: Test): Promise<{ place: Place; pipe: string }> {
  const place = await placeFor(t)
  const pipe = place.path('pipe')
  execFileSync('mkfifo', [pipe])
  return { place, pipe }
}

/** All that comes out of a pipe. */
function read(t: Test, pipe: string): Promise<string> {
  const child = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return text(child.stdout)
}

for (const flag of ['-o', '--events']) {
  t.test(`${flag}: a run waits for the reader of a pipe before anything is sent`, async t => {
    const { place, pipe } = await withPipe(t)
    const { world, ended } = place.start([...ASK, flag, pipe], { stdin: csv(2) })
    await until(() => /pipe is a pipe without a reader/.test(world.stderr.text))
    t.same(
      place.emulator.ledger.calls().filter(({ op }) => op === 'create'),
      [],
    )
    const came = read(t, pipe)
    t.equal((await ended).code, 0)
    t.equal(rowsOf(await came).length > 1, true)
  })

  t.test(`${flag}: a signal ends the wait for a reader`, async t => {
    const { place, pipe } = await withPipe(t)
    const { world, ended } = place.start([...ASK, flag, pipe], { stdin: csv(2) })
    await until(() => /without a reader/.test(world.stderr.text))
    world.emit('SIGTERM', 'SIGTERM')
    t.equal((await ended).code, 143)
    t.same(
      place.emulator.ledger.calls().filter(({ op }) => op === 'create'),
      [],
    )
  })
}

t.test('a stalled reader does not delay stopping', async t => {
  const { place, pipe } = await withPipe(t)
  const reader = spawn('sh', ['-c', `exec sleep 600 < ${pipe}`])
  t.teardown(() => reader.kill('SIGKILL'))
  // The rows are longer than a pipe holds.
  const stdin = `id,text\n${`1,${'x'.repeat(2000)}\n`.repeat(200)}`
  const { world, ended } = place.start([...ASK, '-o', pipe, '--job', 'j'], { stdin })
  await until(() => journaled(place, 'fetched'))
  world.emit('SIGTERM', 'SIGTERM')
  t.equal((await ended).code, 143)
  const resumed = await place.run(['resume', 'j', '-o', '-'])
  t.equal(resumed.rows.length, 200)
  t.match(await place.emulator.ledger.totals(), { accepted: 200 })
})

t.test('a run without records sends the header to the reader of a pipe, and closes it', async t => {
  const { place, pipe } = await withPipe(t)
  const { ended, world } = place.start([...ASK, '--to', 'csv', '-o', pipe], { stdin: 'text\n' })
  await until(() => /without a reader/.test(world.stderr.text))
  const came = read(t, pipe)
  t.equal((await ended).code, 0)
  t.equal(await came, 'text,response,status,error\n')
})

t.test('a pipe that cannot be opened is an error', async t => {
  const options = { signal: new AbortController().signal, onWait: () => {} }
  await t.rejects(openPipe(`${t.testdir()}/none`, options), {
    code: 'CBS_OUTPUT',
    message: /none cannot be opened/,
  })
})
