import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate, chain, parseJsonl, spool, template } from '../../lib/index.ts'
import { BatchStreamError } from '../../lib/core/errors.ts'
import { nodeDisk, type Disk, type DiskFile } from '../../lib/store/disk.ts'
import { lockFolder } from '../../lib/store/lock.ts'
import {
  cardText,
  inspectJob,
  inspectJobs,
  inspectJobsOf,
  unusable,
} from '../../lib/store/inspect.ts'
import { openJob, openStoredJob } from '../../lib/store/open.ts'
import { VERSION } from '../../lib/core/job/state.ts'
import { openBelow } from '../support/descriptors.ts'
import { openFor, records, watched } from '../support/jobs.ts'

void t.test('a name that could be a path is rejected', async t => {
  for (const name of ['', '..', '.hidden', 'a/b', 'a b', 'ä', '-x', 'x'.repeat(65)])
    await t.rejects(openJob({ name, dir: t.testdirName }), { code: 'CBS_OPTION' }, name)
})

void t.test('a name or a folder that is not a string is rejected', async t => {
  // A JavaScript user may pass any of these.
  for (const wrong of [undefined, null, 5, {}]) {
    await t.rejects(openJob({ name: 'a', dir: wrong as never }), { code: 'CBS_OPTION' })
    await t.rejects(openJob({ name: wrong as never, dir: t.testdirName }), { code: 'CBS_OPTION' })
  }
})

void t.test('a new job has a journal with its version and its own run', async t => {
  const dir = t.testdir()
  const a = await openFor(t, dir, { name: 'a.1_-' })
  const b = await openFor(t, dir, { name: 'x'.repeat(64) })
  t.match(a.run, /^[a-z0-9]{10}$/)
  t.not(a.run, b.run)
  t.match(
    readFileSync(`${a.store.folder}/journal.jsonl`, 'utf8'),
    `"type":"opened","version":${VERSION}`,
  )
  t.notOk(a.store.temporary)
})

void t.test('one process holds a job at a time, and the next one resumes it', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  await t.rejects(openFor(t, dir), { code: 'CBS_JOB_IN_USE' })
  const { run } = first
  await first.input.appendOrVerify(records(1)[0] as never)
  await first.input.complete()
  await first[Symbol.asyncDispose]()
  await first.close()
  t.same(openBelow(dir), [])
  const second = await openFor(t, dir)
  t.equal(second.run, run)
  t.equal(second.store.records.count, 1)
})

void t.test('an empty journal is damage (C13)', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  await job.close()
  writeFileSync(`${job.store.folder}/journal.jsonl`, '')
  await t.rejects(openFor(t, dir), { code: 'CBS_STATE', message: /empty journal.*doctor/ })
  t.same(openBelow(dir), [])
  rmSync(job.store.folder, { recursive: true })
  await openFor(t, dir)
})

void t.test('records without a journal are damage (C14)', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  await job.close()
  rmSync(`${job.store.folder}/journal.jsonl`)
  await t.rejects(openFor(t, dir), { code: 'CBS_STATE', message: /has records and no journal/ })
})

void t.test('a job that fails to open is unlocked, and leaves no file open', async t => {
  const dir = t.testdir()
  for (const failing of ['open', 'read', 'truncate', 'list', 'rename', 'syncFolder']) {
    let on = true
    const disk = watched(what => {
      if (on && what === failing) throw new Error(`no ${failing}`)
    })
    await t.rejects(openFor(t, dir, { disk, name: failing }), { message: `no ${failing}` })
    on = false
    t.same(openBelow(dir), [], failing)
    await (await openFor(t, dir, { disk, name: failing })).close()
  }
})

void t.test('a job that fails to open at any call leaves no file open', async t => {
  const dir = t.testdir()
  let failed = 0
  // Until there are no more calls.
  for (let calls = Infinity; calls >= failed; failed++) {
    calls = 0
    const disk = watched(() => {
      if (calls++ === failed) throw new Error('no disk')
    })
    // Each has a folder of its own, since jobs are compared with others.
    await openStoredJob({ name: 'a', dir: `${dir}/${failed}`, disk }).then(
      job => job.close(),
      () => {},
    )
    t.same(openBelow(dir), [], `call ${failed}`)
  }
  t.ok(failed > 20)
})

void t.test('a link planted as the journal is rejected (C20)', async t => {
  const dir = t.testdir({ elsewhere: 'mine' })
  mkdirSync(`${dir}/jobs/test`, { recursive: true })
  symlinkSync(`${dir}/elsewhere`, `${dir}/jobs/test/journal.jsonl`)
  await t.rejects(openFor(t, dir), { code: 'CBS_DISK', message: /symbolic link/ })
  t.equal(readFileSync(`${dir}/elsewhere`, 'utf8'), 'mine')
})

void t.test('files that the journal does not name are removed', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  const sealed = { attempt: 1, next: 0, records: 1, requests: 1, bytes: 1, hash: '' }
  for (const number of [1, 2, 3]) await job.note({ type: 'sealed', number, ...sealed }, false)
  await job.note({ type: 'submitted', number: 2, id: 'a', at: 0, adopted: false }, false)
  await job.note({ type: 'split', number: 3, into: [] }, false)
  await job.close()
  const kinds = ['body', 'members', 'rejected', 'ids', 'results', 'lines', 'results.invalid']
  for (const number of [1, 2, 3, 9])
    for (const kind of kinds)
      if (number === 2 || number === 3 || !['results', 'lines'].includes(kind))
        writeFileSync(`${job.store.folder}/batches/${number}.${kind}`, '')
  const again = await openFor(t, dir)
  t.same(readdirSync(`${again.store.folder}/batches`).sort(), [
    '1.body',
    '1.ids',
    '1.members',
    '1.rejected',
    '1.results.invalid',
    '2.ids',
    '2.members',
    '2.rejected',
    '2.results.invalid',
    '3.results.invalid',
  ])
})

void t.test('the job of a shard has its number in its name, and remembers its shard', async t => {
  const dir = t.testdir()
  const first = await openJob({ name: 'a', dir, shard: { index: 1, count: 3 } })
  t.equal(first.name, 'a.00001')
  t.same(first.state.shard, { index: 1, count: 3, block: 100 })
  await first.close()
  await t.rejects(openJob({ name: 'a', dir, shard: { index: 1, count: 4 } }), {
    code: 'CBS_INPUT',
    message: /was started as shard 1\/3 with blocks of 100 records, not as shard 1\/4/,
  })
  await t.rejects(openJob({ name: 'a', dir, shard: { index: 1, count: 3, block: 7 } }), {
    code: 'CBS_INPUT',
  })
  await t.rejects(openJob({ name: 'a', dir, shard: { index: 3, count: 3 } }), {
    code: 'CBS_OPTION',
  })
  const again = await openJob({ name: 'a.00001', dir })
  t.equal(again.state.shard?.count, 3)
  await again.close()
  const plain = await openJob({ name: 'b.00000', dir })
  t.equal(plain.state.shard, null)
  await plain.close()
  await t.rejects(openJob({ name: 'b', dir, shard: { index: 0, count: 2 } }), {
    message: /was started without shards/,
  })
})

void t.test('a folder that holds only a lock is no job', async t => {
  const dir = t.testdir({ jobs: { a: { lock: '1' }, b: {} } })
  t.equal(await inspectJob(nodeDisk, dir, 'a'), undefined)
  t.same(await inspectJobs(nodeDisk, dir), [])
})

void t.test('a job that is deleted while a command opens it does not begin anew', async t => {
  const dir = t.testdir()
  const found = { name: 'a', dir, isFound: true }
  const gone = { code: 'CBS_OPTION', message: /^job a has just been deleted from / }
  await t.rejects(openStoredJob(found), gone)
  t.same(readdirSync(dir), [])
  await (await openFor(t, dir, { name: 'a' })).close()
  const deletes = async (folder: string): ReturnType<typeof lockFolder> => {
    for (const file of readdirSync(folder)) rmSync(`${folder}/${file}`, { recursive: true })
    return await lockFolder(folder)
  }
  await t.rejects(openStoredJob({ ...found, lock: deletes }), gone)
  t.same(await inspectJobs(nodeDisk, dir), [])
  await (await openFor(t, dir, { name: 'a' })).close()
})

void t.test('an unfinished job and its copy beside it are not opened', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir, { name: 'a' })
  await job.close()
  const { folder } = job.store
  cpSync(folder, `${dir}/jobs/b`, { recursive: true })
  mkdirSync(`${dir}/jobs/c`)
  for (const name of ['a', 'b'])
    await t.rejects(openFor(t, dir, { name }), {
      code: 'CBS_STATE',
      message: /jobs [ab] and [ab] are copies of one job.*nothing was sent/,
    })
  rmSync(folder, { recursive: true })
  const moved = await openFor(t, dir, { name: 'b' })
  t.equal(moved.run, job.run)
})

void t.test('a job opens beside jobs that cannot be read', async t => {
  const dir = t.testdir({ jobs: { damaged: { 'journal.jsonl': 'x' } } })
  await (await openFor(t, dir, { name: 'a' })).close()
  const unreadable: typeof nodeDisk = {
    ...nodeDisk,
    open: async (path, how) => {
      const file = await nodeDisk.open(path, how)
      if (path.includes('damaged')) file.read = () => Promise.reject(new Error('EIO'))
      return file
    },
  }
  await (await openFor(t, dir, { name: 'a', disk: unreadable })).close()
  const unlisted: typeof nodeDisk = {
    ...nodeDisk,
    list: async path => {
      if (path.endsWith('/jobs')) throw new Error('EACCES')
      return await nodeDisk.list(path)
    },
  }
  await t.rejects(
    openFor(t, dir, { name: 'a', disk: unlisted }),
    { message: /EACCES/ },
    'a copy might be there',
  )
})

void t.test('a read error does not make a job look damaged', async t => {
  const dir = t.testdir()
  await (await openFor(t, dir, { name: 'a' })).close()
  const disk: typeof nodeDisk = {
    ...nodeDisk,
    readWhole: path => Promise.reject(new BatchStreamError('CBS_DISK', `cannot read ${path}`)),
  }
  const found = await inspectJob(disk, dir, 'a')
  t.equal(found?.isUnreadable, true)
  t.equal(found && unusable(found).code, 'CBS_DISK')
  writeFileSync(`${dir}/jobs/a/journal.jsonl`, 'x\ny\n')
  const damaged = await inspectJob(nodeDisk, dir, 'a')
  t.equal(damaged && unusable(damaged).code, 'CBS_STATE')
})

void t.test('of the jobs of other commands, only the start of the journal is read', async t => {
  const dir = t.testdir()
  const makeJob = async (name: string, command: string): Promise<void> => {
    const job = await openStoredJob({ name, dir, command })
    await job.close()
    const card = { name, created_at: name, fingerprint: command, settings: {} }
    writeFileSync(`${dir}/jobs/${name}/job.json`, cardText(card))
  }
  await makeJob('b', 'mine')
  await makeJob('a', 'mine')
  for (const name of ['changed', 'cut', 'other']) await makeJob(name, 'theirs')
  appendFileSync(`${dir}/jobs/changed/job.json`, ' {')
  writeFileSync(`${dir}/jobs/cut/journal.jsonl`, '{"size":')
  const read: string[] = []
  const disk: typeof nodeDisk = {
    ...nodeDisk,
    readWhole: async path => {
      read.push(path.replace(`${dir}/jobs/`, ''))
      return await nodeDisk.readWhole(path)
    },
  }
  const found = await inspectJobsOf(disk, dir, 'mine')
  t.same(
    found.map(({ name }) => name),
    ['changed', 'a', 'b', 'cut'],
    'a job that cannot be identified may be one of them',
  )
  t.notOk(read.includes('other/journal.jsonl'))
})

void t.test('a stage refuses a job that is closed, and says what to do', async t => {
  const dir = t.testdir()
  const job = await openJob({ name: 'done', dir })
  await job.close()
  const reason = { code: 'CBS_OPTION', message: /^job done is closed: open it again/ }
  for (const stage of [
    () => chain(parseJsonl(), spool({ job })),
    () => chain(parseJsonl(), template({ prompt: '{{a}}' }), aggregate({ job })),
  ])
    await t.rejects(pipeline(Readable.from([Buffer.from('{"a":1}\n')]), stage().resume()), reason)
  t.equal(readFileSync(`${dir}/jobs/done/records.jsonl`, 'utf8'), '')
})

void t.test(
  'a job that is closed while stages are made hides no error of another stage',
  async t => {
    const dir = t.testdir()
    for (const stage of [spool, aggregate]) {
      const job = await openJob({ name: 'a', dir })
      const made = stage({ job })
      // As `finally` does after a wrong option of the next stage.
      await job.close()
      await new Promise(resolve => setImmediate(resolve))
      t.equal(made.listenerCount('error'), 1)
      await t.rejects(pipeline(Readable.from([]), made), 'a pipeline that takes it later fails')
    }
  },
)

void t.test(
  'results of a batch that was never sent show that a journal has lost its end',
  async t => {
    const dir = t.testdir()
    const batches = `${dir}/jobs/a/batches`
    const part = { attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
    const job = await openStoredJob({ name: 'a', dir })
    await job.note({ type: 'sealed', number: 1, ...part }, true)
    await job.close()
    for (const file of ['1.results', '1.lines', '2.results']) {
      writeFileSync(`${batches}/${file}`, 'paid')
      await t.rejects(openJob({ name: 'a', dir }), {
        code: 'CBS_STATE',
        message: /has results of batch \d, which was never sent.*the end of the journal is lost/,
      })
      t.same(readdirSync(batches), [file])
      rmSync(`${batches}/${file}`)
    }
    await (await openJob({ name: 'a', dir })).close()
  },
)

void t.test('a bad read of a journal is not made permanent', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  await job.note({ type: 'workspace', id: 'w'.repeat(1000) }, true)
  await job.close()
  const path = `${job.store.folder}/journal.jsonl`
  const before = readFileSync(path)
  for (const good of [0, 512]) {
    let reads = 0
    const disk: Disk = {
      ...nodeDisk,
      open: async (at, how) => {
        const file = await nodeDisk.open(at, how)
        if (at !== path) return file
        const readOnce = file.read.bind(file)
        const read: DiskFile['read'] = async (into, from) => {
          const count = await readOnce(into, from)
          if (++reads === 1) into.fill(0, good)
          return count
        }
        return Object.assign(file, { read })
      },
    }
    await t.rejects(openFor(t, dir, { disk }), {
      code: 'CBS_DISK',
      message: /two reads of .*journal.jsonl gave different bytes/,
    })
    t.ok(readFileSync(path).equals(before))
  }
  await (await openFor(t, dir)).close()
})

void t.test('files of others beside those of batches stay, and a link is not followed', async t => {
  const dir = t.testdir({ others: { '7.body': 'precious' } })
  await (await openJob({ name: 'a', dir })).close()
  const batches = `${dir}/jobs/a/batches`
  writeFileSync(`${batches}/notes.txt`, 'mine')
  writeFileSync(`${batches}/7.body`, 'an orphan of a crash')
  await (await openJob({ name: 'a', dir })).close()
  t.same(readdirSync(batches), ['notes.txt'])
  rmSync(batches, { recursive: true })
  symlinkSync(`${dir}/others`, batches)
  await t.rejects(openJob({ name: 'a', dir }), {
    code: 'CBS_DISK',
    message: /batches is not a folder \(a link is not followed\)/,
  })
  t.same(readdirSync(`${dir}/others`), ['7.body'])
})
