import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { nodeDisk, replaceFile } from '../../lib/store/disk.ts'
import { openBelow } from '../support/descriptors.ts'
import { watched } from '../support/jobs.ts'
import { needs } from '../support/needs.ts'

void t.test('files and folders are private (C19)', async t => {
  const folder = t.testdir()
  await nodeDisk.makeFolder(`${folder}/a/b`)
  const file = await nodeDisk.open(`${folder}/a/b/file`, 'create')
  await file.close()
  t.equal(statSync(`${folder}/a/b`).mode & 0o777, 0o700)
  t.equal(statSync(`${folder}/a/b/file`).mode & 0o777, 0o600)
})

void t.test('the topmost folder that was made is returned', async t => {
  const folder = t.testdir({ file: 'x' })
  t.equal(await nodeDisk.makeFolder(`${folder}/a/b/c`), `${folder}/a`)
  t.equal(await nodeDisk.makeFolder(`${folder}/a/b/c`), undefined)
  t.equal(await nodeDisk.makeFolder(`${folder}/a/b/d`), `${folder}/a/b/d`)
  await t.rejects(nodeDisk.makeFolder(`${folder}/file/x/y`), { code: 'CBS_DISK' })
})

void t.test(
  'a path where no folder can be made is an error at once',
  { skip: !existsSync('/proc/self') && 'only Linux has such a place' },
  async t => {
    for (const path of ['/proc/none', '/proc/none/of/these'])
      await t.rejects(nodeDisk.makeFolder(path), {
        code: 'CBS_DISK',
        message: `cannot make ${path}: ENOENT`,
      })
  },
)

void t.test('a folder that is open to others is made private (C19)', async t => {
  const folder = `${t.testdir()}/open`
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  await nodeDisk.makeFolder(folder)
  t.equal(statSync(folder).mode & 0o777, 0o700)
})

void t.test('a folder that is a link or a file is rejected (C20)', async t => {
  const folder = t.testdir({ file: 'x', real: {} })
  symlinkSync(`${folder}/real`, `${folder}/link`)
  await t.rejects(nodeDisk.makeFolder(`${folder}/link`), {
    code: 'CBS_DISK',
    message: /is not a folder/,
  })
  await t.rejects(nodeDisk.makeFolder(`${folder}/file`), { code: 'CBS_DISK' })
})

void t.test(
  'a folder of another user is rejected (C19)',
  { skip: process.getuid?.() !== 0 && 'only root can give a folder away' },
  async t => {
    const folder = `${t.testdir()}/theirs`
    mkdirSync(folder)
    const { chownSync } = await import('node:fs')
    chownSync(folder, 12_345, 12_345)
    await t.rejects(nodeDisk.makeFolder(folder), {
      code: 'CBS_DISK',
      message: /belongs to another user/,
    })
  },
)

void t.test("a planted link is not followed, except for a user's output (C20)", async t => {
  const folder = t.testdir({ target: 'secret' })
  symlinkSync(`${folder}/target`, `${folder}/link`)
  for (const how of ['create', 'update', 'read'] as const)
    await t.rejects(nodeDisk.open(`${folder}/link`, how), {
      code: 'CBS_DISK',
      message: /symbolic link/,
    })
  await t.rejects(nodeDisk.readWhole(`${folder}/link`), { code: 'CBS_DISK' })
  const file = await nodeDisk.open(`${folder}/link`, 'output')
  t.equal(await file.size(), 6)
  await file.close()
  t.equal(readFileSync(`${folder}/target`, 'utf8'), 'secret')
})

void t.test('a file is read to its end, written anywhere, truncated and synced', async t => {
  const file = await nodeDisk.open(`${t.testdir()}/file`, 'update')
  await file.write(Buffer.from('hello'), 0)
  await file.write(Buffer.from('HELLO'), 3)
  await file.sync()
  const into = Buffer.alloc(20)
  t.equal(await file.read(into, 2), 6)
  t.equal(into.toString('utf8', 0, 6), 'lHELLO')
  await file.truncate(4)
  t.equal(await file.size(), 4)
  t.equal(await file.read(into, 4), 0)
  await file.close()
})

void t.test('a small file is replaced atomically, or stays as it was', async t => {
  const folder = t.testdir({ small: 'old' })
  const broken = watched(what => {
    if (what === 'sync') throw new Error('EIO')
  })
  await t.rejects(replaceFile(broken, `${folder}/small`, Buffer.from('new')))
  t.equal(readFileSync(`${folder}/small`, 'utf8'), 'old')
  await replaceFile(nodeDisk, `${folder}/small`, Buffer.from('new'))
  t.equal(readFileSync(`${folder}/small`, 'utf8'), 'new')
  t.same(openBelow(folder), [])
})

void t.test('a missing file differs from a failure', async t => {
  const folder = t.testdir({ file: 'abc' })
  t.equal(await nodeDisk.readWhole(`${folder}/none`), undefined)
  t.same(await nodeDisk.list(`${folder}/none`), [])
  t.same(await nodeDisk.list(folder), ['file'])
  t.equal(await nodeDisk.stat(`${folder}/none`), undefined)
  t.equal(await nodeDisk.stat(`${folder}/file`), 3)
  t.equal(await nodeDisk.stat(folder), 'folder')
  t.equal(await nodeDisk.stat('/dev/null'), 'special')
  await nodeDisk.remove(`${folder}/none`)
  t.ok((await nodeDisk.free(folder)) > 0)
  const into = `${folder}/file/x`
  await t.rejects(nodeDisk.stat(into), { code: 'CBS_DISK', message: `cannot look at ${into}` })
  await t.rejects(nodeDisk.list(`${folder}/file`), { code: 'CBS_DISK' })
  await t.rejects(nodeDisk.readWhole(folder), { code: 'CBS_DISK' })
  await t.rejects(nodeDisk.rename(`${folder}/none`, `${folder}/b`), { code: 'CBS_DISK' })
  await t.rejects(nodeDisk.syncFolder(`${folder}/none`), { code: 'CBS_DISK' })
  await t.rejects(nodeDisk.free(`${folder}/none`), { code: 'CBS_DISK' })
  await t.rejects(nodeDisk.open(`${folder}/none/x`, 'create'), {
    code: 'CBS_DISK',
    message: /cannot open/,
  })
})

void t.test('a full device is CBS_DISK (F01)', needs('/dev/full'), async t => {
  const file = await nodeDisk.open('/dev/full', 'output')
  await t.rejects(file.write(Buffer.from('x'), 0), {
    code: 'CBS_DISK',
    message: /cannot write \/dev\/full: ENOSPC/,
  })
  await file.close()
})

void t.test('a failed operation on an open file is CBS_DISK and names the file', async t => {
  const folder = t.testdir({ file: 'abc' })
  writeFileSync(`${folder}/b`, '')
  const file = await nodeDisk.open(`${folder}/file`, 'read')
  await t.rejects(file.truncate(1), { code: 'CBS_DISK', message: /cannot cut .*file/ })
  await file.close()
  await t.rejects(file.sync(), { code: 'CBS_DISK' })
  await t.rejects(file.read(Buffer.alloc(1), 0), { code: 'CBS_DISK' })
  await t.rejects(file.size(), { code: 'CBS_DISK' })
})

void t.test('a failed synchronous read is CBS_DISK and names the file', async t => {
  const folder = t.testdir({ file: 'abc' })
  const file = await nodeDisk.open(`${folder}/file`, 'read')
  const into = Buffer.alloc(2)
  t.same([file.readSync?.(into, 1), String(into)], [2, 'bc'])
  await file.close()
  t.throws(() => file.readSync?.(into, 0), {
    code: 'CBS_DISK',
    message: `cannot read ${folder}/file`,
  })
})

void t.test('a file is distinguished from another of the same name', async t => {
  const folder = t.testdir({ other: 'x' })
  const path = `${folder}/file`
  const file = await nodeDisk.open(path, 'newOutput')
  symlinkSync('file', `${folder}/link`)
  t.equal(await nodeDisk.identityOf?.(`${folder}/link`), await file.identity?.())
  t.not(await nodeDisk.identityOf?.(`${folder}/other`), await file.identity?.())
  t.equal(await nodeDisk.identityOf?.(`${folder}/none`), undefined)
  const below = async (): Promise<void> => {
    await nodeDisk.identityOf?.(`${folder}/other/below`)
  }
  await t.rejects(below(), { code: 'CBS_DISK' })
  await file.close()
})

void t.test('a folder that cannot be read is not synced, without an error', async t => {
  // Its parents are open to the user that root becomes.
  const folder = mkdtempSync(join(tmpdir(), 'cbs-disk-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o333)
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    await nodeDisk.syncFolder(folder)
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
  t.pass()
})
