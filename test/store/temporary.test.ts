import { existsSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { makeTemporaryFolder, temporaryDisk } from '../../lib/store/temporary.ts'

const atExit = (): (() => void)[] =>
  // tap listens too; ours is known by its name.
  process.rawListeners('exit').filter(({ name }) => name === 'removeAll') as (() => void)[]

void t.test('temporary folders are removed at the end of the process, and then only', async t => {
  const one = await makeTemporaryFolder()
  const other = await makeTemporaryFolder()
  t.equal(atExit().length, 1)
  writeFileSync(`${other}/file`, 'x')
  await temporaryDisk.remove(one)
  t.notOk(existsSync(one))
  t.equal(atExit().length, 1)
  // What the process would do at its end.
  atExit()[0]?.()
  t.notOk(existsSync(other))
  await temporaryDisk.remove(other)
  t.equal(atExit().length, 0)
})

void t.test('a folder that cannot be made is CBS_DISK', async t => {
  const { makeTemporaryFolder } = (await t.mockImport('../../lib/store/temporary.ts', {
    'node:os': { tmpdir: () => '/no/such/folder' },
  })) as typeof import('../../lib/store/temporary.ts')
  await t.rejects(makeTemporaryFolder(), {
    code: 'CBS_DISK',
    message: /cannot make a folder in \/no\/such\/folder/,
  })
})

void t.test('what is temporary is not synced', async () => {
  const folder = await makeTemporaryFolder()
  const file = await temporaryDisk.open(`${folder}/file`, 'create')
  await file.sync()
  await temporaryDisk.syncFolder(folder)
  await file.close()
  await temporaryDisk.remove(folder)
})
