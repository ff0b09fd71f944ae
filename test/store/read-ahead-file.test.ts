import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { nodeDisk } from '../../lib/store/disk.ts'
import { ReadAheadFile } from '../../lib/store/read-ahead-file.ts'
import { watched } from '../support/jobs.ts'

void t.test('one read serves many small ranges, and their bytes stay valid', async t => {
  const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, i) => i % 251))
  const path = `${t.testdir()}/file`
  await writeFile(path, bytes)
  let reads = 0
  const file = await watched(what => void (what === 'read' && reads++)).open(path, 'read')
  const ahead = new ReadAheadFile(file)
  t.equal(ahead.tryReadSync(0, 10), undefined)
  const first = await ahead.read(0, 10)
  t.same(ahead.tryReadSync(10, 100), bytes.subarray(10, 110))
  t.same(await ahead.read(200_000, 50), bytes.subarray(200_000, 200_050))
  t.equal(reads, 1)
  t.same(await ahead.read(300_000, 280_000), bytes.subarray(300_000, 580_000))
  t.equal(reads, 2)
  t.equal(ahead.tryReadSync(299_999, 1), undefined)
  t.same(first, bytes.subarray(0, 10))
  t.same(await ahead.read(599_990, 100), bytes.subarray(599_990))
  await file.close()
})

void t.test('a read sees what was written after the last read-ahead', async t => {
  const path = `${t.testdir()}/file`
  const file = await nodeDisk.open(path, 'create')
  await file.write(Buffer.from('abc'), 0)
  const ahead = new ReadAheadFile(file)
  t.equal(String(await ahead.read(0, 3)), 'abc')
  await file.write(Buffer.from('def'), 3)
  t.equal(ahead.tryReadSync(3, 3), undefined)
  t.equal(String(await ahead.read(3, 3)), 'def')
  await file.close()
})

void t.test('ranges in any order are right, and cost little more than their own bytes', async t => {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7) % 253))
  const path = `${t.testdir()}/file`
  await writeFile(path, bytes)
  const disk = await nodeDisk.open(path, 'read')
  let moved = 0
  const ahead = new ReadAheadFile({
    ...disk,
    read: async (into: Uint8Array, position: number) => {
      const read = await disk.read(into, position)
      moved += read
      return read
    },
  })
  let at = 1
  for (let i = 0; i < 300; i++) {
    at = (at * 48_271) % 2_147_483_647
    const start = at % 2_990_000
    t.ok((await ahead.read(start, 1000)).equals(bytes.subarray(start, start + 1000)), `${start}`)
  }
  t.ok(moved < 300 * 100_000, `${moved} bytes for 300 ranges`)
  t.ok((await ahead.read(2_999_900, 50)).equals(bytes.subarray(2_999_900, 2_999_950)))
  t.ok(
    (await ahead.read(2_990_000, 50)).equals(bytes.subarray(2_990_000, 2_990_050)),
    'just before',
  )
  t.ok((await ahead.read(10, 50)).equals(bytes.subarray(10, 60)))
  await disk.close()
})

void t.test(
  'ranges in random order are read alone, even if two are accidental neighbours',
  async t => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 253))
    const path = `${t.testdir()}/file`
    await writeFile(path, bytes)
    const disk = await nodeDisk.open(path, 'read')
    let large = 0
    const file = Object.assign(Object.create(disk), {
      read: (into: Uint8Array, position: number) => {
        large += 1
        return disk.read(into, position)
      },
      readSync: (into: Uint8Array, position: number) => disk.readSync?.(into, position),
    })
    const ahead = new ReadAheadFile(file, 2)
    await ahead.read(0, 100)
    for (const block of [270_000, 290_000, 280_000])
      for (const at of [5, 1, 3, 0, 4, 2]) {
        const start = block + at * 1000
        t.same(ahead.tryReadSync(start, 999), bytes.subarray(start, start + 999), `${start}`)
      }
    t.equal(large, 1)
    await disk.close()
  },
)
