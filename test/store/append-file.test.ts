import t from 'tap'
import { AppendFile } from '../../lib/store/append-file.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import { watched } from '../support/jobs.ts'

void t.test('flushed bytes are in the file in order of appending', async t => {
  const path = `${t.testdir()}/file`
  const file = new AppendFile(await nodeDisk.open(path, 'create'), 0)
  file.append(Buffer.from('one'))
  t.equal(file.size, 3)
  t.equal(file.flushed, 0)
  const flushing = file.flush()
  file.append(Buffer.from('two'))
  await Promise.all([flushing, file.flush(), file.flush()])
  t.equal(file.flushed, 6)
  file.append(Buffer.from('three'))
  await file.sync()
  await file.close()
  t.equal(String(await nodeDisk.readWhole(path)), 'onetwothree')
})

void t.test('appending continues at the given size', async t => {
  const path = `${t.testdir({ file: 'abcdef' })}/file`
  const file = new AppendFile(await nodeDisk.open(path, 'update'), 3)
  file.append(Buffer.from('X'))
  await file.sync()
  await file.close()
  t.equal(String(await nodeDisk.readWhole(path)), 'abcXef')
})

void t.test('the file is full when enough is buffered', async t => {
  const file = new AppendFile(await nodeDisk.open(`${t.testdir()}/file`, 'create'), 0)
  file.append(Buffer.alloc(256 * 1024 - 1))
  t.notOk(file.full)
  file.append(Buffer.alloc(1))
  t.ok(file.full)
  await file.flush()
  t.notOk(file.full)
  await file.close()
})

for (const broken of ['write', 'sync'] as const) {
  void t.test(`after a failed ${broken} nothing more is written (F01, F05)`, async t => {
    const path = `${t.testdir()}/file`
    const calls: string[] = []
    let failing = false
    const disk = watched(what => {
      calls.push(what)
      if (what === broken && failing) throw new Error('no space')
    })
    const file = new AppendFile(await disk.open(path, 'create'), 0)
    file.append(Buffer.from('first'))
    await file.sync()
    failing = true
    file.append(Buffer.from('lost'))
    await t.rejects(file.sync(), { message: 'no space' })
    failing = false
    calls.length = 0
    file.append(Buffer.from('later'))
    await t.rejects(file.flush(), { message: 'no space' })
    await t.rejects(file.sync(), { message: 'no space' })
    t.same(calls, [])
    await file.close()
    t.notMatch(String(await nodeDisk.readWhole(path)), 'later')
  })
}
