import t from 'tap'
import type { Disk } from '../../lib/store/disk.ts'
import { Gate } from '../support/crash/gate.ts'
import { diskOf } from '../support/crash/machine-disk.ts'
import { Machine, type Crash } from '../support/crash/machine.ts'
import { Random } from '../support/crash/random.ts'

function machine(): { machine: Machine; disk: Disk } {
  const machine = new Machine()
  machine.settle('/home')
  return { machine, disk: diskOf(machine, new Gate()) }
}

async function after(
  machine: Machine,
  crash: Crash,
  path: string,
  seed = 1,
): Promise<string | undefined> {
  const disk = diskOf(machine.crash(crash, new Random(seed)), new Gate())
  return (await disk.readWhole(path))?.toString()
}

void t.test('written data survives a killed process', async t => {
  const { machine: here, disk } = machine()
  const file = await disk.open('/home/a', 'create')
  await file.write(Buffer.from('abc'), 0)
  t.equal(await after(here, 'killed', '/home/a'), 'abc')
})

void t.test('a power failure loses a file whose folder was not synced', async t => {
  const { machine: here, disk } = machine()
  const file = await disk.open('/home/a', 'create')
  await file.write(Buffer.from('abc'), 0)
  await file.sync()
  t.equal(await after(here, 'lost', '/home/a'), undefined)
  await disk.syncFolder('/home')
  t.equal(await after(here, 'lost', '/home/a'), 'abc')
})

void t.test('a power failure loses what was written since the last sync', async t => {
  const { machine: here, disk } = machine()
  const file = await disk.open('/home/a', 'create')
  await disk.syncFolder('/home')
  await file.write(Buffer.from('abc'), 0)
  await file.sync()
  await file.write(Buffer.from('def'), 3)
  await file.truncate(5)
  t.equal(await after(here, 'lost', '/home/a'), 'abc')
  t.equal(await after(here, 'killed', '/home/a'), 'abcde')
})

void t.test('an unsynced rename leaves the old file or the new one', async t => {
  const { machine: here, disk } = machine()
  for (const [name, text] of [
    ['a', 'old'],
    ['a.next', 'new'],
  ] as const) {
    const file = await disk.open(`/home/${name}`, 'create')
    await file.write(Buffer.from(text), 0)
    await file.sync()
  }
  await disk.syncFolder('/home')
  await disk.rename('/home/a.next', '/home/a')
  t.equal(await after(here, 'lost', '/home/a'), 'old')
  t.equal(await after(here, 'killed', '/home/a'), 'new')
  const seen = new Set<string | undefined>()
  for (let seed = 0; seed < 50; seed++) {
    seen.add(await after(here, 'torn', '/home/a', seed))
  }
  t.same([...seen].sort(), ['new', 'old'])
})

void t.test('a torn file keeps what was synced, followed by sectors of any moment', async t => {
  const { machine: here, disk } = machine()
  const file = await disk.open('/home/a', 'create')
  await disk.syncFolder('/home')
  await file.write(Buffer.alloc(512, 's'), 0)
  await file.sync()
  for (let sector = 1; sector <= 4; sector++) await file.write(Buffer.alloc(512, 'u'), sector * 512)
  const seen = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    const text = (await after(here, 'torn', '/home/a', seed)) ?? ''
    seen.add(text.replace(/(.)\1*/gs, (run: string, one: string) => `${one}${run.length / 512} `))
  }
  t.ok(
    [...seen].every(run => run.startsWith('s1 ')),
    'what was synced is there',
  )
  t.ok(seen.has('s1 '), 'nothing of it was written')
  t.ok(seen.has('s1 u4 '), 'all of it was written')
  t.ok(
    [...seen].some(run => /\0[\d.]+ u/.test(run)),
    'a later sector was written before an earlier one',
  )
})

void t.test('a dead process does nothing more, and its last write is half done', async t => {
  const { machine: here } = machine()
  const gate = new Gate({ kind: 'die', at: 2, inside: true })
  const disk = diskOf(here, gate)
  const file = await disk.open('/home/a', 'create')
  void file.write(Buffer.from('abcd'), 0)
  await new Promise(resolve => setImmediate(resolve))
  void disk.open('/home/b', 'create')
  await new Promise(resolve => setImmediate(resolve))
  t.equal(gate.dead, true)
  t.equal(await after(here, 'killed', '/home/a'), 'ab')
  t.equal(await after(here, 'killed', '/home/b'), undefined)
})

void t.test('a failing call fails once', async t => {
  const { machine: here } = machine()
  const disk = diskOf(here, new Gate({ kind: 'disk', at: 2 }))
  await disk.open('/home/a', 'create')
  await t.rejects(disk.open('/home/b', 'create'), { code: 'CBS_DISK' })
  await disk.open('/home/b', 'create')
  t.same(await disk.list('/home'), ['a', 'b'])
})
