import { readFileSync, statSync } from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { nodeDisk } from '../../lib/store/disk.ts'
import type { JobEvent } from '../../lib/core/job/event.ts'
import { FileJournal } from '../../lib/store/file-journal.ts'
import { openBelow } from '../support/descriptors.ts'
import { watched } from '../support/jobs.ts'

const opened: JobEvent = { type: 'opened', version: 1, run: 'r', at: 0 }
const source = (index: number): JobEvent => ({ type: 'source', index, name: `file ${index}` })

void t.test('events are read back, and concurrent appends keep their order', async t => {
  const path = `${t.testdir()}/journal`
  const { journal, events } = await FileJournal.open(nodeDisk, path)
  t.same(events, [])
  const many = [opened, ...Array.from({ length: 50 }, (_, i) => source(i))]
  await Promise.all(many.map((event, i) => journal.append(event, i % 7 === 0)))
  await journal.close()
  const again = await FileJournal.open(nodeDisk, path)
  t.same(again.events, many)
  await again.journal.append(source(50), true)
  await again.journal.close()
  const third = await FileJournal.open(nodeDisk, path)
  t.same(third.events, [...many, source(50)])
  await third.journal.close()
})

void t.test('a torn last line is truncated, so that the next line stands alone (C11)', async t => {
  const path = `${t.testdir()}/journal`
  const first = await FileJournal.open(nodeDisk, path)
  await first.journal.append(opened, true)
  await first.journal.close()
  await appendFile(path, '{"size":"000123-999876","sum":"01')
  const second = await FileJournal.open(nodeDisk, path)
  t.same(second.events, [opened])
  await second.journal.append(source(0), true)
  await second.journal.close()
  const third = await FileJournal.open(nodeDisk, path)
  t.same(third.events, [opened, source(0)])
  await third.journal.close()
})

void t.test('a durable append is synced before it resolves, others are not', async t => {
  const calls: string[] = []
  const disk = watched(what => void calls.push(what))
  const { journal } = await FileJournal.open(disk, `${t.testdir()}/journal`)
  calls.length = 0
  await journal.append(opened, false)
  t.same(calls, ['write'])
  await journal.append(source(0), true)
  t.same(calls, ['write', 'write', 'sync'])
  await journal.close()
})

for (const broken of ['write', 'sync'] as const) {
  void t.test(`a failed ${broken} is permanent, and is not retried (F05)`, async t => {
    let failing = false
    const calls: string[] = []
    const disk = watched(what => {
      calls.push(what)
      if (failing && what === broken) throw new Error('EIO')
    })
    const { journal } = await FileJournal.open(disk, `${t.testdir()}/journal`)
    await journal.append(opened, true)
    failing = true
    await t.rejects(journal.append(source(0), true), {
      code: 'CBS_DISK',
      cause: { message: 'EIO' },
    })
    failing = false
    calls.length = 0
    await t.rejects(journal.append(source(1), true), { code: 'CBS_DISK' })
    t.same(calls, [])
    await journal.close()
  })
}

void t.test('a damaged journal leaves no file open', async t => {
  const folder = t.testdir()
  await writeFile(`${folder}/journal`, 'nonsense that is no journal')
  await t.rejects(FileJournal.open(nodeDisk, `${folder}/journal`), { code: 'CBS_STATE' })
  t.same(openBelow(folder), [])
})

void t.test(
  'R04: space for the outcome of an armed batch is reserved before it is armed',
  async t => {
    const path = `${t.testdir()}/journal`
    const { journal } = await FileJournal.open(nodeDisk, path)
    await journal.append(opened, false)
    for (const number of [1, 2])
      await journal.append({ type: 'armed', number, at: 0, serverAt: null }, true)
    const { size } = statSync(path)
    // The disk is full now, but writing in place still works.
    for (const number of [1, 2])
      await journal.append(
        { type: 'submitted', number, id: `msgbatch_${'x'.repeat(100)}`, at: 0, adopted: false },
        true,
      )
    t.equal(statSync(path).size, size, 'the file did not grow')
    const during = await FileJournal.open(nodeDisk, path)
    t.same(
      during.events.map(({ type }) => type),
      ['opened', 'armed', 'armed', 'submitted', 'submitted'],
      'a reader sees only the lines',
    )
    await during.journal.close()
    await journal.close()
    t.equal(readFileSync(path).indexOf(0), -1, 'the rest is cut off at the end')
  },
)

void t.test('a journal that has lost what was synced is damaged, whatever is left', async t => {
  const dir = t.testdir()
  const [path, end] = [`${dir}/journal`, `${dir}/journal.end`]
  const open = async (): Promise<FileJournal> =>
    (await FileJournal.open(nodeDisk, path, end)).journal
  const write = async (...events: [JobEvent, boolean][]): Promise<Buffer> => {
    const journal = await open()
    for (const [event, durable] of events) await journal.append(event, durable)
    await journal.close()
    return readFileSync(path)
  }
  const before = await write([opened, true])
  const synced = await write([source(0), true], [source(1), true])
  const whole = await write([source(2), false])
  const zeroed = Buffer.from(synced)
  zeroed.fill(0, before.length + 10)
  for (const lost of [before, synced.subarray(0, -1), zeroed, Buffer.alloc(0)]) {
    await writeFile(path, lost)
    await t.rejects(open(), {
      code: 'CBS_STATE',
      message: `the job's journal has lost its end (it had ${synced.length} bytes on disk, and `,
    })
    t.same(readFileSync(path), lost, 'it is left as it is')
  }
  await writeFile(path, whole)
  await (await open()).close()

  await writeFile(path, before)
  await writeFile(end, '')
  const other = await write([source(7), true], [source(8), true])
  t.equal(other.length, synced.length)
  for (const another of [synced, whole]) {
    await writeFile(path, another)
    await t.rejects(open(), { message: /or is another one/ })
  }
  t.same(openBelow(dir), [])
  for (const unknown of ['', `${whole.length + 1} 0123456789abcdef 1 `, 'x'.repeat(64)]) {
    await writeFile(end, unknown)
    await (await open()).close()
  }
})
