import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import t from 'tap'
import { readFirst } from '../../lib/cli/input.ts'
import type { SourceRecord } from '../../lib/core/flow.ts'
import { typed, type Stage } from '../../lib/core/stage.ts'
import { records } from '../support/jobs.ts'
import { csv, placeFor } from './world.ts'

/** A stage that gives what a test pushes. */
function source(): { pushed: Readable; stage: Stage<never, SourceRecord> } {
  const pushed = new Readable({ objectMode: true, read() {} })
  pushed.on('error', () => {})
  return { pushed, stage: typed(pushed) }
}

t.test('the first records are inspected without losing any', async t => {
  const all = records(5)
  for (const [count, seen] of [
    [2, 2],
    [9, 5],
  ] as const) {
    const { pushed, stage } = source()
    for (const record of [...all, null]) pushed.push(record)
    const peeked = await readFirst(stage, count)
    t.same(peeked.first, all.slice(0, seen))
    t.same(await peeked.stream.toArray(), all)
  }
})

t.test('a source that has ended or is closed has no more records', async t => {
  const ended = source()
  ended.pushed.push(null)
  await ended.pushed.toArray()
  t.same((await readFirst(ended.stage, 2)).first, [])
  const closed = source()
  closed.pushed.destroy()
  t.same((await readFirst(closed.stage, 2)).first, [])
  const closing = source()
  const peeking = readFirst(closing.stage, 2)
  closing.pushed.destroy()
  t.same((await peeking).first, [])
})

t.test(
  'the reason of a failing source is reported, whether it failed before or fails later',
  async t => {
    const failed = source()
    failed.pushed.destroy(new Error('broken'))
    await t.rejects(readFirst(failed.stage, 2), { message: 'broken' })
    const failing = source()
    const peeking = readFirst(failing.stage, 2)
    failing.pushed.destroy(new Error('broken'))
    await t.rejects(peeking, { message: 'broken' })
  },
)

t.test(
  'a signal that arrives before the input is opened ends the run, and nothing is sent',
  async t => {
    const place = await placeFor(t)
    const stdin = new PassThrough()
    const { world, ended } = place.start(['-p', 'Say {{text}}'], { stdin })
    // It is listened to first, so that SIGINT is heard when this one comes to be.
    world.on('newListener', name => name === 'SIGTERM' && world.emit('SIGINT', 'SIGINT'))
    stdin.end(csv(30))
    t.match(await ended, { code: 130, out: '' })
    t.same(place.emulator.ledger.calls(), [])
  },
)

t.test('one line of text is no table without rows', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['-p', 'Answer: {{input}}'], { stdin: 'What is 1?\n' })
  t.match(ran, {
    code: 6,
    out: '',
    err: /the input has no column "input"; it has "What is 1\?"; for lines of plain text, add --from text/,
  })
  const empty = await place.run(['-p', 'Answer: {{id}}'], { stdin: 'id,text\n' })
  t.match(empty, { code: 0, err: /^no input/ })
})

t.test('an input that cannot be opened is no bug of the program', async t => {
  const place = await placeFor(t)
  // The names of sockets are short.
  const dir = mkdtempSync(join(tmpdir(), 's-'))
  const path = join(dir, 'socket')
  const socket = createServer().listen(path)
  await once(socket, 'listening')
  const ran = await place.run(['-i', path, '-p', 'Say {{text}}'])
  await new Promise(done => socket.close(done))
  rmSync(dir, { recursive: true })
  t.match(ran, { code: 6, err: /the input cannot be read: ENXIO/ })
})
