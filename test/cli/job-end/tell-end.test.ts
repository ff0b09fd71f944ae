import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { Context } from '../../../lib/cli/context.ts'
import { tellingEnd } from '../../../lib/cli/job-end/tell-end.ts'
import { systemClock } from '../../../lib/core/clock.ts'
import { openFor } from '../../support/jobs.ts'
import { csv, KEY, nextWords, placeFor, until } from '../world.ts'

const ASK = ['-p', 'Say {{text}}', '--job', 'j']

async function receiver(t: Test, status = 200): Promise<{ url: string; got: string[] }> {
  const got: string[] = []
  const server = createServer((request, response) => {
    void text(request).then(body => {
      got.push(body)
      response.writeHead(status).end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // The address of a listening server is an AddressInfo.
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-token`, got }
}

t.test('a command and a URL receive the summary that status shows', async t => {
  const place = await placeFor(t)
  const { url, got } = await receiver(t)
  const command = `cat > ${place.path('summary.json')}; echo done; echo >&2 ok`
  const ran = await place.run([...ASK, '--on-complete', command, '--notify', url], {
    stdin: csv(3),
  })
  t.equal(ran.code, 0)
  t.equal(ran.rows.length, 3, 'what the command says is not in the output')
  t.match(ran.err, /^done$/m)
  t.match(ran.err, /^ok$/m)
  const summary = JSON.parse(place.read('summary.json'))
  t.same(JSON.parse(got[0] ?? ''), summary)
  const shown = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  // The list of jobs shows these in addition to the summary.
  const { batches: _, created_at, model, prompt, note, ...same } = shown
  t.match([created_at, model, prompt, note], [String, String, 'Say {{text}}', null])
  t.match(summary, { ...same, state: 'finished', exit_code: 0, error: null })
  t.notMatch(place.read('summary.json') + ran.err, KEY)
  t.notMatch(place.read('summary.json') + ran.err, 'secret-token')
})

t.test('an unsuccessful end is reported too, and does not change how to continue', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no' } }),
  })
  const { url, got } = await receiver(t)
  const words = [...ASK, '--batch-size', '4', '-c', '1', '--notify', url, '--canary', '2']
  const ran = await place.run(words, { stdin: csv(20) })
  t.equal(ran.code, 4)
  const [summary] = got.map(body => JSON.parse(body))
  t.match(summary, { state: 'unfinished', exit_code: 4, error: /the canary failed/ })
  t.match(nextWords(ran).slice(0, 2), ['resume', 'j'])
  await place.again(ran)
  t.match(JSON.parse(got[1] ?? ''), { state: 'finished', exit_code: 3 }, 'the job remembers it')
  t.equal(got.length, 2)
})

t.test('a failed notification is reported, and the exit code stays that of the rows', async t => {
  const place = await placeFor(t)
  const { url } = await receiver(t, 403)
  const ran = await place.run([...ASK, '--on-complete', 'exit 7', '--notify', url], {
    stdin: csv(1),
  })
  t.equal(ran.code, 0)
  t.match(ran.err, /^--on-complete failed: it exited with 7$/m)
  t.match(ran.err, /^--notify failed: it answered 403$/m)
  const again = await place.run(['retry', 'j', '--on-complete', 'kill -9 $$', '--notify', url])
  t.match(again.err, /^--on-complete failed: it was killed by SIGKILL$/m)
})

t.test('a command may ignore its stdin', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--on-complete', 'true'], { stdin: csv(1) })
  t.notMatch(ran.err, 'failed')
})

t.test('detaching or interrupting does not end the job', async t => {
  const place = await placeFor(t, { batchTimeMs: 60_000 })
  const { url, got } = await receiver(t)
  const detached = await place.run([...ASK, '--notify', url, '--detach'], { stdin: csv(1) })
  t.equal(detached.code, 0)
  const { world, ended } = place.start(['resume', 'j', '--notify', url])
  await until(() => place.emulator.ledger.calls().some(({ op }) => op === 'list'))
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  t.same(got, [])
})

t.test('a stopped run terminates the command', async t => {
  const place = await placeFor(t)
  const flag = place.path('runs')
  const { world, ended } = place.start(
    [...ASK, '--on-complete', `echo yes > ${flag}; exec sleep 600`],
    { stdin: csv(1) },
  )
  const { existsSync } = await import('node:fs')
  await until(() => existsSync(flag))
  world.emit('SIGTERM', 'SIGTERM')
  t.match((await ended).err, /--on-complete failed: it was stopped/)
})

t.test('an unsafe address or an empty command is rejected before anything is read', async t => {
  const place = await placeFor(t)
  for (const url of ['http://example.org/secret-token', 'https://u:p@example.org', 'nonsense']) {
    const ran = await place.run([...ASK, '--notify', url], { stdin: csv(1) })
    t.equal(ran.code, 2)
    t.match(ran.err, /--notify must be an https URL/)
    t.notMatch(ran.err, url)
  }
  const ran = await place.run([...ASK, '--on-complete', ' '], { stdin: csv(1) })
  t.match(ran.err, /--on-complete must be a command/)
})

t.test('a job that was deleted in the moment of its end does not change the exit code', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  const warnings: string[] = []
  // The members that are used here.
  const context = {
    flags: { has: () => false },
    signal: new AbortController().signal,
    io: { clock: systemClock },
    talk: { warn: (text: string) => void warnings.push(text) },
  } as unknown as Context
  const settings = { onComplete: 'true' }
  const ending = await tellingEnd(context, { settings, job }, async () => {
    rmSync(job.store.folder, { recursive: true })
    return { code: 0 }
  })
  t.same(ending, { code: 0 })
  t.same(warnings, ['the end of the job cannot be reported: another process has deleted the job'])
})
