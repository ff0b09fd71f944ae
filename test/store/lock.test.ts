import * as promises from 'node:fs/promises'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import * as fs from 'node:fs/promises'
import * as net from 'node:net'
import { resolve } from 'node:path'
import t, { type Test } from 'tap'
import { isLocked, lockFolder } from '../../lib/store/lock.ts'
import { openFor } from '../support/jobs.ts'
import { until } from '../support/waiting.ts'

const linuxOnly = { skip: process.platform !== 'linux' && 'abstract sockets' }
const BUILT = resolve('dist/lib')

t.before(() => {
  if (!existsSync(BUILT))
    throw new Error('other processes run what is built: `npm run build` first')
})

/** Tries to open job `a` in `dir` with the build at `lib`, and sends the outcome; `how` names the kind of process. */
const OPENER = `
  import cluster from 'node:cluster'
  import { isMainThread, parentPort, Worker } from 'node:worker_threads'
  import { pathToFileURL } from 'node:url'
  const [how, lib, dir] = process.argv.slice(2)
  const open = async () => {
    const { openJob } = await import(pathToFileURL(lib + '/index.js').href)
    return await openJob({ name: 'a', dir }).then(() => 'open', cause => [cause.code, cause.message])
  }
  // It stays open until the process is killed.
  setInterval(() => {}, 1000)
  if (!isMainThread) parentPort.postMessage(await open())
  else if (how === 'thread') new Worker(process.argv[1], { argv: [how, lib, dir] }).on('message', given => process.send(given))
  else if (how === 'cluster' && cluster.isPrimary)
    for (let worker = 0; worker < 3; worker++) cluster.fork().on('message', given => process.send(given))
  else process.send(await open())
`

/** The outcome of opening a job in another process, which lives until it is killed or the test ends. */
async function openElsewhere(
  t: Test,
  how: 'process' | 'thread' | 'cluster',
  dir: string,
  lib = BUILT,
): Promise<{ given: unknown[]; child: ChildProcess }> {
  const opener = `${t.testdirName}/opener.mjs`
  writeFileSync(opener, OPENER)
  const child = fork(opener, [how, lib, dir], { execArgv: [] })
  t.teardown(() => child.kill('SIGKILL'))
  const given: unknown[] = []
  child.on('message', message => given.push(message))
  await until(() => given.length === (how === 'cluster' ? 3 : 1))
  return { given, child }
}

void t.test('a folder is locked once, and free after release', async t => {
  const folder = t.testdir({ other: {} })
  const held = await lockFolder(folder)
  await t.rejects(lockFolder(folder), {
    code: 'CBS_JOB_IN_USE',
    message: `this process already has the job in ${folder} open; close it first`,
  })
  const other = await lockFolder(`${folder}/other`)
  await other.release()
  await held.release()
  await (await lockFolder(folder)).release()
})

void t.test('only one of the workers of a cluster opens a job (13.1)', linuxOnly, async t => {
  const { given } = await openElsewhere(t, 'cluster', t.testdir())
  const refused = given.filter(one => one !== 'open')
  t.equal(refused.length, 2)
  for (const one of refused)
    t.match(one, ['CBS_JOB_IN_USE', /^process \d+ works on the job in .*jobs.a; wait for it/])
})

void t.test('an open job is rejected wherever it is opened again (13.1)', async t => {
  const dir = t.testdir()
  const copy = `${dir}/copy`
  cpSync(BUILT, copy, { recursive: true })
  await openFor(t, dir, { name: 'a' })
  const refused = ['CBS_JOB_IN_USE', new RegExp(`^process ${process.pid} works on the job`)]
  for (const how of ['process', 'thread', 'cluster'] as const)
    for (const one of (await openElsewhere(t, how, dir)).given) t.match(one, refused, how)
  t.match((await openElsewhere(t, 'process', dir, copy)).given, [refused], 'a copy of the package')
})

void t.test('the lock of a killed process is free at once (C17)', linuxOnly, async t => {
  const dir = t.testdir()
  const { given, child } = await openElsewhere(t, 'process', dir)
  t.same(given, ['open'])
  await t.rejects(openFor(t, dir, { name: 'a' }), {
    code: 'CBS_JOB_IN_USE',
    message: new RegExp(`^process ${child.pid} works on the job`),
  })
  child.kill('SIGSTOP')
  await t.rejects(openFor(t, dir, { name: 'a' }), {
    code: 'CBS_JOB_IN_USE',
    message: /^another process works on the job/,
  })
  child.kill('SIGKILL')
  await once(child, 'exit')
  await openFor(t, dir, { name: 'a' })
})

// Names of the locks that this process holds: files of tests run side by side, and /proc/net/unix lists the sockets of all.
const ownLocks = (): string[] => {
  const own = readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? []
    } catch {
      return [] // The descriptor of the listing itself is closed.
    }
  })
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .flatMap(([, , , , , , inode = '', name = '']) =>
      own.includes(inode) && name.startsWith('@claude') ? name : [],
    )
}

void t.test('the name of a lock follows from a private secret (13.16)', linuxOnly, async t => {
  const folder = t.testdir()
  const before = ownLocks()
  const lock = await lockFolder(folder)
  const [name = ''] = ownLocks().filter(name => !before.includes(name))
  t.match(name, /^@claude-batch-stream\/[0-9a-f]+$/)
  t.equal(name.length, 108, 'Node 20 and Node 22 pad shorter names differently')
  t.equal(statSync(`${folder}/lock`).mode & 0o777, 0o600)
  await lock.release()
  // A copy is another job, and another secret is another name.
  const secret = readFileSync(`${folder}/lock`)
  t.notOk(name.includes(secret.toString()))
  writeFileSync(`${folder}/lock`, secret.subarray(0, 7))
  const again = await lockFolder(folder)
  t.equal(
    readFileSync(`${folder}/lock`).indexOf(secret.subarray(0, 7)),
    0,
    'the file is only appended to',
  )
  t.notOk(ownLocks().includes(name))
  await again.release()
})

void t.test('a lock file that cannot be read back is an error', linuxOnly, async t => {
  const folder = t.testdir()
  // t.mockImport loads the module with this in place of Node's.
  const { lockFolder: failing } = (await t.mockImport('../../lib/store/lock.ts', {
    'node:fs/promises': {
      ...promises,
      open: async (...args: Parameters<typeof promises.open>) =>
        Object.assign(await promises.open(...args), { read: async () => ({ bytesRead: 0 }) }),
    },
  })) as typeof import('../../lib/store/lock.ts')
  await t.rejects(failing(folder), {
    code: 'CBS_DISK',
    message: /cannot lock .*lock cannot be read as it was written/,
  })
})

void t.test('concurrent lockers of a new folder agree on its secret', async t => {
  const folder = t.testdir()
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))
  t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
})

void t.test('a folder that is renamed during locking is locked again', linuxOnly, async t => {
  const dir = t.testdir({ a: {}, b: {} })
  const first = await lockFolder(`${dir}/a`)
  let renamed = false
  // t.mockImport loads the module with this in place of Node's.
  const { lockFolder: slow } = (await t.mockImport('../../lib/store/lock.ts', {
    'node:net': {
      ...net,
      createServer: (...args: Parameters<typeof net.createServer>) => {
        // The folder is renamed after its lock name was found and before it is locked.
        if (!renamed) renameSync(`${dir}/a`, `${dir}/gone`)
        if (!renamed) renameSync(`${dir}/b`, `${dir}/a`)
        renamed = true
        return net.createServer(...args)
      },
    },
  })) as typeof import('../../lib/store/lock.ts')
  await first.release()
  const second = await slow(`${dir}/a`)
  t.ok(renamed)
  await t.rejects(lockFolder(`${dir}/a`), { code: 'CBS_JOB_IN_USE' })
  await (await lockFolder(`${dir}/gone`)).release()
  await second.release()
})

void t.test('a folder that is deleted during locking is not locked', linuxOnly, async t => {
  const dir = t.testdir({ a: {} })
  // Likewise.
  const { lockFolder } = (await t.mockImport('../../lib/store/lock.ts', {
    'node:net': {
      ...net,
      createServer: (...args: Parameters<typeof net.createServer>) => {
        rmSync(`${dir}/a`, { recursive: true })
        return net.createServer(...args)
      },
    },
  })) as typeof import('../../lib/store/lock.ts')
  await t.rejects(lockFolder(`${dir}/a`), { code: 'CBS_DISK', message: /cannot lock/ })
})

void t.test('a missing folder cannot be locked on any platform', async t => {
  const none = `${t.testdir()}/none`
  for (const platform of ['linux', 'darwin', 'win32'] as const)
    await t.rejects(lockFolder(none, platform), { code: 'CBS_DISK' })
})

void t.test('without named sockets, the lock is an open file', async t => {
  const folder = t.testdir()
  const lock = await lockFolder(folder, 'darwin')
  t.equal(readFileSync(`${folder}/lock`, 'utf8'), `${process.pid}\n`)
  await lock.release()
})

void t.test('the error for a locked file names the holder', async t => {
  const folder = t.testdir()
  // t.mockImport loads the module with this in place of Node's.
  const held = (await t.mockImport('../../lib/store/lock.ts', {
    'node:fs/promises': {
      ...fs,
      open: () => Promise.reject(Object.assign(new Error('held'), { code: 'EAGAIN' })),
    },
  })) as typeof import('../../lib/store/lock.ts')
  const refused = (who: string) => ({
    code: 'CBS_JOB_IN_USE',
    message: new RegExp(`^${who} works on the job`),
  })
  await t.rejects(held.lockFolder(folder, 'darwin'), refused('another process'))
  writeFileSync(`${folder}/lock`, '4242\n')
  await t.rejects(held.lockFolder(folder, 'darwin'), refused('process 4242'))
  t.equal(await held.isLocked(folder, 'darwin'), true)
})

void t.test('a socket that cannot be made does not mean a holder', async t => {
  // On Linux the name of a pipe is a path, and this path does not exist.
  const folder = t.testdir()
  // Likewise.
  const { lockFolder } = (await t.mockImport('../../lib/store/lock.ts', {
    'node:net': {
      ...net,
      createServer: () => {
        const server = net.createServer()
        server.listen = () => server.emit('error', new Error('EACCES')) as never
        return server
      },
    },
  })) as typeof import('../../lib/store/lock.ts')
  await t.rejects(lockFolder(folder, 'linux'), { code: 'CBS_DISK', message: /cannot lock/ })
})

void t.test('checking a lock neither takes it nor writes anything', async t => {
  const folder = t.testdir()
  for (const platform of ['linux', 'darwin', 'win32'] as const)
    t.equal(await isLocked(folder, platform), false)
  t.same(readdirSync(folder), [])
  const lock = await lockFolder(folder)
  t.equal(await isLocked(folder), true)
  await lock.release()
  t.equal(await isLocked(folder), false)
  for (const platform of ['darwin', 'win32'] as const)
    t.equal(await isLocked(folder, platform), false)
  await (await lockFolder(folder)).release()
})
