import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { isLocked, lockFolder } from '../../lib/job/lock.ts'
import { within } from '../support/waiting.ts'

void t.test('a folder is held by one, and free again after', async t => {
  const folder = t.testdir({ other: {} })
  const held = await lockFolder(folder)
  await t.rejects(lockFolder(folder), {
    code: 'CBS_JOB_IN_USE',
    message: /another process works on the job/,
  })
  const other = await lockFolder(`${folder}/other`)
  await other.release()
  await held.release()
  await (await lockFolder(folder)).release()
})

void t.test(
  'a lock whose process was killed is taken at once (C17)',
  { skip: process.platform !== 'linux' && 'abstract sockets' },
  async t => {
    const folder = t.testdir()
    const { statSync } = await import('node:fs')
    const { dev, ino } = statSync(folder, { bigint: true })
    const holder = `${t.testdirName}/holder.mjs`
    writeFileSync(
      holder,
      `import { createServer } from 'node:net'
     createServer().listen('\\0claude-batch-stream/${dev}-${ino}', () => process.send('held'))`,
    )
    const child = fork(holder, { execArgv: [] })
    t.teardown(() => child.kill('SIGKILL'))
    await within(once(child, 'message'), () => 'the process that holds the lock says nothing')
    await t.rejects(lockFolder(folder), { code: 'CBS_JOB_IN_USE' })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await (await lockFolder(folder)).release()
  },
)

void t.test('a folder that is not there cannot be locked, by any means', async t => {
  const none = `${t.testdir()}/none`
  for (const platform of ['linux', 'darwin', 'win32'] as const)
    await t.rejects(lockFolder(none, platform), { code: 'CBS_DISK' })
})

void t.test('where there are no abstract sockets, the lock is a file that is open', async t => {
  const folder = t.testdir()
  const lock = await lockFolder(folder, 'darwin')
  await lock.release()
})

void t.test('a held file and a failing socket are told apart', async t => {
  const folder = t.testdir()
  // t.mockImport gives the module as it is, with these two in the place of Node's.
  const { lockFolder } = (await t.mockImport('../../lib/job/lock.ts', {
    'node:fs/promises': {
      open: () => Promise.reject(Object.assign(new Error('held'), { code: 'EAGAIN' })),
      stat: async () => ({ dev: 1n, ino: 'no/such/folder' }),
    },
  })) as typeof import('../../lib/job/lock.ts')
  await t.rejects(lockFolder(folder, 'darwin'), { code: 'CBS_JOB_IN_USE' })
  await t.rejects(lockFolder(folder, 'win32'), { code: 'CBS_DISK', message: /cannot lock/ })
})

void t.test('who only looks finds out whether a folder is held, and does not take it', async t => {
  const folder = t.testdir()
  t.equal(await isLocked(folder), false)
  const lock = await lockFolder(folder)
  t.equal(await isLocked(folder), true)
  await lock.release()
  await (await lockFolder(folder)).release()
})

void t.test('the same where the lock is a file', async t => {
  const folder = t.testdir()
  t.equal(await isLocked(folder, 'darwin'), false)
  // t.mockImport gives the module as it is, with this in the place of Node's.
  const held = (await t.mockImport('../../lib/job/lock.ts', {
    'node:fs/promises': {
      open: () => Promise.reject(Object.assign(new Error('held'), { code: 'EAGAIN' })),
      stat: async () => ({ dev: 1n, ino: 1n }),
    },
  })) as typeof import('../../lib/job/lock.ts')
  t.equal(await held.isLocked(folder, 'darwin'), true)
})
