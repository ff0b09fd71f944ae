import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { systemClock } from '../../../lib/core/clock.ts'
import { chain } from '../../../lib/core/chain.ts'
import { nodeDisk } from '../../../lib/store/disk.ts'
import { bodyParts, type UploadProgress } from '../../../lib/stages/submit/upload.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { openFor } from '../../support/jobs.ts'
import { untilIdle } from '../../support/virtual-clock.ts'
import { ask, asks, journalOf, makeWorld, run } from '../../support/world.ts'

const hashOf = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** A job that nobody else can take. */
const assertOwned = (): void => {}

void t.test('a body is sent whole, and its last byte after it was armed', async t => {
  for (const size of [1, 2, 256 * 1024, 256 * 1024 + 1, 256 * 1024 + 2, 700_000]) {
    const bytes = Buffer.alloc(size, 'abcdefg')
    const path = `${t.testdir()}/body`
    await writeFile(path, bytes)
    const file = await nodeDisk.open(path, 'read')
    const progress: UploadProgress = { complete: false, ended: false }
    const parts: Uint8Array[] = []
    let armedAt = -1
    const sent = (): number => parts.reduce((sum, part) => sum + part.length, 0)
    const arm = async (): Promise<void> => void (armedAt = sent())
    for await (const part of bodyParts(
      file,
      { size, hash: hashOf(bytes) },
      progress,
      { arm, assertOwned },
      () => {},
    ))
      parts.push(part)
    t.same(Buffer.concat(parts), bytes)
    t.equal(armedAt, size - 1)
    t.ok(progress.complete)
    await file.close()
  }
})

void t.test('an ended call never sends its last byte, armed or not', async t => {
  const path = `${t.testdir({ body: 'abc' })}/body`
  const file = await nodeDisk.open(path, 'read')
  for (const when of ['before', 'while arming'] as const) {
    const progress: UploadProgress = { complete: false, ended: false }
    const parts: string[] = []
    let armed = false
    const arm = async (): Promise<void> => {
      armed = true
      progress.ended = true
    }
    for await (const part of bodyParts(
      file,
      { size: 3, hash: hashOf('abc') },
      progress,
      { arm, assertOwned },
      () => {},
    )) {
      parts.push(String(part))
      if (when === 'before') progress.ended = true
    }
    t.same(parts, ['ab'])
    t.equal(armed, when === 'while arming')
    t.notOk(progress.complete)
  }
  await file.close()
})

void t.test('the last byte is held back if another process may own the job', async t => {
  const path = `${t.testdir({ body: 'abc' })}/body`
  const file = await nodeDisk.open(path, 'read')
  const progress: UploadProgress = { complete: false, ended: false }
  const parts: string[] = []
  const all = async (): Promise<void> => {
    const lastByte = {
      arm: async () => {},
      assertOwned: () => {
        throw new Error('the lease has ended')
      },
    }
    const body = { size: 3, hash: hashOf('abc') }
    for await (const part of bodyParts(file, body, progress, lastByte, () => {}))
      parts.push(String(part))
  }
  await t.rejects(all(), { message: 'the lease has ended' })
  t.same(parts, ['ab'])
  t.match(progress, { complete: false, disowned: Error })
  await file.close()
})

void t.test(
  'a batch whose last byte was held back is sent again once the job is owned',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    let refusals = 1
    const assertOwned = (): void => {
      if (refusals-- > 0) throw new BatchStreamError('CBS_API', 'the lease may have ended')
    }
    Object.defineProperty(job, 'assertOwned', { value: assertOwned })
    const waits: string[] = []
    t.equal((await run(world, job, asks(2), { waits })).length, 2)
    t.match(waits.join(), 'the lease may have ended')
    t.match(await world.emulator.ledger.totals(), { accepted: 2, billed: 2, acceptedTwice: 0 })
    const events = journalOf(job.store.folder).map(({ type }) => type)
    t.same(
      events.filter(type => type.endsWith('armed')),
      ['armed', 'disarmed', 'armed'],
    )
  },
)

void t.test('a file that is too short is CBS_STATE before anything is armed', async t => {
  const path = `${t.testdir({ body: 'abc' })}/body`
  const file = await nodeDisk.open(path, 'read')
  for (const size of [4, 10]) {
    const arm = (): Promise<void> => Promise.reject(new Error('armed'))
    const all = async (): Promise<void> => {
      const body = { size, hash: hashOf('abc') }
      for await (const _ of bodyParts(
        file,
        body,
        { complete: false, ended: false },
        { arm, assertOwned },
        () => {},
      ));
    }
    await t.rejects(all(), { code: 'CBS_STATE' })
  }
  await file.close()
})

void t.test(
  'a body with a changed byte is CBS_STATE, and its last byte is not sent (13.9)',
  async t => {
    const bytes = Buffer.from('{"requests":[]}')
    const path = `${t.testdir()}/body`
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8((bytes[at] as number) ^ 1, at)
      await writeFile(path, changed)
      const file = await nodeDisk.open(path, 'read')
      const parts: Uint8Array[] = []
      const all = async (): Promise<void> => {
        const body = { size: bytes.length, hash: hashOf(bytes) }
        const arm = (): Promise<void> => Promise.reject(new Error('armed'))
        const progress: UploadProgress = { complete: false, ended: false }
        for await (const part of bodyParts(file, body, progress, { arm, assertOwned }, () => {}))
          parts.push(part)
      }
      await t.rejects(all(), { code: 'CBS_STATE', message: /was changed since it was sealed/ })
      t.equal(Buffer.concat(parts).length, bytes.length - 1)
      await file.close()
    }
  },
)

void t.test('on the wire the last byte follows the armed event on disk', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir, { clock: systemClock })
  let seen = Buffer.alloc(0)
  let atLastButOne: string[] | undefined
  let open = (): void => {}
  const gate = new Promise<void>(resolve => (open = resolve))
  const answer = (socket: Socket): void => {
    const body = JSON.stringify({
      id: 'msgbatch_1',
      type: 'message_batch',
      processing_status: 'in_progress',
      request_counts: { processing: 2, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
      created_at: new Date().toISOString(),
    })
    socket.end(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    )
  }
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', data => {
      seen = Buffer.concat([seen, data])
      const head = seen.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(seen.toString('latin1'))?.[1])
      const got = seen.length - head - 4
      if (head > 0 && got === length - 1) {
        atLastButOne = journalOf(job.store.folder).map(({ type }) => type)
        open()
      }
      if (head > 0 && got === length) answer(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  // The journal is slow to say `armed`: if the byte did not wait for it, it would come before.
  const note = job.note.bind(job)
  job.note = async (event, durable) => {
    if (event.type === 'armed') await gate
    await note(event, durable)
  }
  const client = new Anthropic({
    apiKey: 'k',
    baseURL: `http://127.0.0.1:${port}`,
    logLevel: 'off',
  })
  const sending = chain(aggregate({ job }), submit({ client }))
  sending.write(ask('one'))
  sending.end(ask('two'))
  for await (const batch of sending) t.match(batch, { state: 'submitted', id: 'msgbatch_1' })
  t.ok(atLastButOne, 'the server had all but one byte')
  t.notOk(atLastButOne?.includes('armed'))
  t.notMatch(seen.toString('latin1'), /transfer-encoding/i)
  t.ok(journalOf(job.store.folder).some(({ type }) => type === 'armed'))
})

for (const [status, code] of [
  [401, 'CBS_ACCESS'],
  [429, undefined],
  [413, undefined],
  [200, undefined],
] as const) {
  void t.test(
    `a ${status} that comes while the batch is being armed leaves it unarmed (N35)`,
    async t => {
      // In real time: while the journal is slow, virtual time would run away.
      const world = await makeWorld(t, { clock: systemClock, batchTimeMs: 5 })
      const job = await world.open({ clock: systemClock })
      let creates = 0
      let begun = (): void => {}
      const arming = new Promise<void>(resolve => (begun = resolve))
      let answer = (): void => {}
      const answered = new Promise<void>(resolve => (answer = resolve))
      const note = job.note.bind(job)
      job.note = async (event, durable) => {
        if (event.type === 'armed') {
          begun()
          await answered
          // By now the answer has come through the client to whoever waits for it.
          await untilIdle()
        }
        await note(event, durable)
      }
      // Answers while the journal is still being told that the last byte may go out.
      const hasty: typeof fetch = async (url, init) => {
        if (init?.method !== 'POST' || creates++ > 0) return await world.emulator.fetch(url, init)
        // The body that submit gives is an async iterable.
        const body = (init.body as unknown as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
        await body.next()
        body.next().catch(() => {})
        await arming
        answer()
        if (status === 200) return Response.json({ type: 'message_batch', id: 'msgbatch_early' })
        return Response.json({ type: 'error', error: { type: 'e', message: 'early' } }, { status })
      }
      const client = new Anthropic({
        apiKey: 'k',
        baseURL: world.emulator.url,
        fetch: hasty,
        logLevel: 'off',
      })
      const running = run(world, job, asks(4), { client, awaitEnd: { poll: 5 } })
      if (code === undefined) t.equal((await running).length, 4)
      else await t.rejects(running, { code })
      const events = journalOf(job.store.folder).flatMap(event =>
        'number' in event && event.number === 1 ? [event.type] : [],
      )
      t.same(events.slice(0, 3), ['sealed', 'armed', 'disarmed'])
      t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
    },
  )
}
