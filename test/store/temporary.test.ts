import { existsSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { makeTemporaryFolder, temporaryDisk } from '../../lib/store/temporary.ts'

const atExit = (): (() => void)[] =>
  // tap adds listeners too; this package's is found by its name.
  process.rawListeners('exit').filter(({ name }) => name === 'removeAll') as (() => void)[]

void t.test('temporary folders are removed at exit, and not before', async t => {
  const one = await makeTemporaryFolder()
  const other = await makeTemporaryFolder()
  t.equal(atExit().length, 1)
  writeFileSync(`${other}/file`, 'x')
  await temporaryDisk.remove(one)
  t.notOk(existsSync(one))
  t.equal(atExit().length, 1)
  // Simulates the exit.
  atExit()[0]?.()
  t.notOk(existsSync(other))
  await temporaryDisk.remove(other)
  t.equal(atExit().length, 0)
})

void t.test('a folder that cannot be created is CBS_DISK', async t => {
  const { makeTemporaryFolder } = (await t.mockImport('../../lib/store/temporary.ts', {
    'node:os': { ...(await import('node:os')), tmpdir: () => '/no/such/folder' },
  })) as typeof import('../../lib/store/temporary.ts')
  await t.rejects(makeTemporaryFolder(), {
    code: 'CBS_DISK',
    message: /cannot make a folder in \/no\/such\/folder/,
  })
})

void t.test('temporary files are not synced', async () => {
  const folder = await makeTemporaryFolder()
  const file = await temporaryDisk.open(`${folder}/file`, 'create')
  await file.sync()
  await temporaryDisk.syncFolder(folder)
  await file.close()
  await temporaryDisk.remove(folder)
})
