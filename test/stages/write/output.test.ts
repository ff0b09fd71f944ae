import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { chain } from '../../../lib/core/chain.ts'
import { stage, type Stage } from '../../../lib/core/stage.ts'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { nodeDisk, type Disk } from '../../../lib/store/disk.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { openOutput, type OutputOptions, type RowWriter } from '../../../lib/stages/write/output.ts'
import {
  FileTarget,
  NOTHING_COMMITTED,
  type FileTargetOptions,
} from '../../../lib/stages/write/target.ts'
import { openBelow } from '../../support/descriptors.ts'
import { watched } from '../../support/jobs.ts'
import { until } from '../../support/waiting.ts'
import { asks, makeWorld, type World } from '../../support/world.ts'

/** Asks six requests in batches of two, with rows in a file. */
async function write(
  { client }: World,
  job: StoredJob,
  path: string,
  row: (result: Result) => Buffer = jsonlRow(),
  before?: Stage<Result, Result>,
  onCut?: OutputOptions['onCut'],
): Promise<void> {
  const output = await openOutput({
    job,
    out: { path },
    errors: undefined,
    rows: { rowOf: row },
    errorRowOf: row,
    ...(onCut && { onCut }),
  })
  await pipeline(
    Readable.from(asks(6)),
    aggregate({ job, batchSize: 2 }),
    submit({ client, concurrency: 1 }),
    awaitEnd({ client, job }),
    before ? chain(fetchResults({ client, job }), before) : fetchResults({ client, job }),
    output,
  )
}

/** A stage of a user, after which results come one at a time. */
const oneByOne = (): Stage<Result, Result> => stage((result: Result) => result)

/** The questions of the rows in a file, each with its own answer. */
function asked(path: string): unknown[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map(line => JSON.parse(line).response)
}

void t.test(
  'F03 a full disk under -o leaves the committed rows, and the rest follows later',
  async t => {
    const world = await makeWorld(t)
    const path = `${world.dir}/out.jsonl`
    let isFull = false
    const disk = watched((what, at) => {
      if (isFull && what === 'write' && at === path) throw new Error('ENOSPC: no space left')
    })
    const job = await world.open({ disk })
    job.on('event', ({ type }) => type === 'written' && (isFull = true))
    await t.rejects(write(world, job, path), { code: 'CBS_DISK', message: /ENOSPC/ })
    await job.close()
    t.same(openBelow(world.dir), [])
    const committed = asked(path)
    t.equal(committed.length, 2)
    await write(world, await world.open(), path)
    const rows = asked(path)
    t.same(rows.slice(0, 2), committed)
    t.equal(new Set(rows).size, 6)
    t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0, billedTwice: 0 })
  },
)

void t.test('rows longer than the buffer are written before their batch is complete', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  const writes: number[] = []
  const disk = watched((what, at, position) => {
    if (what === 'write' && at === path) writes.push(position ?? NaN)
  })
  const long = (result: Result): Buffer =>
    Buffer.from(`${JSON.stringify({ response: result.response, text: 'x'.repeat(300_000) })}\n`)
  await write(world, await world.open({ disk }), path, long)
  t.equal(writes.length, 6, 'one write for each row, though two rows are committed together')
  t.equal(new Set(asked(path)).size, 6)
})

void t.test('C08 a crash between the rows and their commit writes each row once', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  const job = await world.open()
  const note = job.note.bind(job)
  let commits = 0
  job.note = async (event, durable) => {
    if (event.type === 'written' && ++commits === 2) throw new Error('dead')
    await note(event, durable)
  }
  await t.rejects(write(world, job, path), { message: /dead/ })
  await job.close()
  t.equal(asked(path).length, 4, 'the rows are there, and the journal does not know')
  await write(world, await world.open(), path)
  t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
  t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

for (const isPaged of [true, false]) {
  void t.test(
    `a row that cannot be made ends the stream, and committed rows stay${isPaged ? '' : ', one by one'}`,
    async t => {
      const world = await makeWorld(t)
      const path = `${world.dir}/out.jsonl`
      const job = await world.open()
      const row = jsonlRow()
      let rows = 0
      const refuse = (result: Result): Buffer => {
        // The first row of the second batch is one that is not the last of its batch.
        if (++rows === 3) throw new BatchStreamError('CBS_OUTPUT', 'another column')
        return row(result)
      }
      await t.rejects(write(world, job, path, refuse, isPaged ? undefined : oneByOne()), {
        code: 'CBS_OUTPUT',
        message: 'another column',
      })
      await job.close()
      t.equal(asked(path).length, 2)
      await write(world, await world.open(), path)
      t.equal(new Set(asked(path)).size, 6)
      t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
    },
  )
}

void t.test('an existing file of another program is refused before it is touched', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  writeFileSync(path, 'theirs')
  await t.rejects(write(world, await world.open(), path), {
    code: 'CBS_OUTPUT',
    message: `${path} already exists`,
  })
  t.equal(readFileSync(path, 'utf8'), 'theirs')
})

void t.test('a detached output leaves no file if it breaks off', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await write(world, job, `${world.dir}/out.jsonl`)
  const path = `${world.dir}/again.jsonl`
  const rowOf = (): Buffer => {
    throw new BatchStreamError('CBS_OUTPUT', 'no such row')
  }
  const output = await openOutput({
    job,
    out: { path },
    detached: true,
    rows: { rowOf },
    errorRowOf: rowOf,
  })
  const again = fetchResults({ client: world.client, job })
  await t.rejects(pipeline(Readable.from([job.endedBatch(1)]), again, output), {
    code: 'CBS_OUTPUT',
  })
  t.notOk(existsSync(path))
  t.ok(existsSync(`${world.dir}/out.jsonl`))
})

void t.test('rows wait for a late writer, and end with its error', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await write(world, job, `${world.dir}/out.jsonl`)
  const again = async (
    open: (signal: AbortSignal) => Promise<RowWriter>,
    before?: Stage<Result, Result>,
  ): Promise<string> => {
    const path = `${world.dir}/again.jsonl`
    const rows = { open, end: () => {} }
    const errorRowOf = jsonlRow()
    const output = await openOutput({ job, out: { path }, detached: true, rows, errorRowOf })
    const results = fetchResults({ client: world.client, job })
    await pipeline(
      Readable.from([job.endedBatch(1)]),
      before ? chain(results, before) : results,
      output,
    )
    return readFileSync(path, 'utf8')
  }
  const failing = again(async () => {
    throw new BatchStreamError('CBS_OUTPUT', 'too many columns')
  })
  await t.rejects(failing, { code: 'CBS_OUTPUT', message: 'too many columns' })
  const rowOf = (): Buffer => Buffer.from('row\n')
  const late = async (): Promise<RowWriter> => {
    await new Promise(setImmediate)
    return { rowOf, header: Buffer.from('header\n') }
  }
  t.equal(await again(late), 'header\nrow\nrow\n')
  unlinkSync(`${world.dir}/again.jsonl`)
  t.equal(await again(late, oneByOne()), 'header\nrow\nrow\n')
})

void t.test('another file of sufficient size under the same name is not truncated', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  const job = await world.open()
  const stop = new Error('stopped')
  let rows = 0
  const row = jsonlRow()
  const refuse = (result: Result): Buffer => {
    if (++rows === 4) throw stop
    return row(result)
  }
  await t.rejects(write(world, job, path, refuse), { cause: stop })
  await job.close()
  const foreign = 'not a row of this job\n'.repeat(10_000)
  writeFileSync(path, foreign)
  await t.rejects(write(world, await world.open(), path), {
    code: 'CBS_OUTPUT',
    message: /has changed since the last run.*the file was not changed now/,
  })
  t.equal(readFileSync(path, 'utf8'), foreign)
  t.notOk(openBelow(world.dir).includes(path))
})

void t.test('a file that appears before the output is created is not touched', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  const disk = watched((what, at) => {
    if (what === 'open' && at === path) writeFileSync(path, 'theirs')
  })
  await t.rejects(write(world, await world.open({ disk }), path), {
    code: 'CBS_OUTPUT',
    message: `${path} already exists`,
  })
  t.equal(readFileSync(path, 'utf8'), 'theirs')
})

void t.test('an output is a file, not a link to one that does not exist', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  symlinkSync('target', path)
  await t.rejects(write(world, await world.open(), path), {
    code: 'CBS_OUTPUT',
    message: `${path} is a link to a file that does not exist: use the path of the file itself`,
  })
  t.notOk(existsSync(`${world.dir}/target`))
})

/** Ends a job that has written rows and committed none of them. */
async function dieUncommitted(world: World, path: string): Promise<void> {
  const job = await world.open()
  const note = job.note.bind(job)
  job.note = async (event, durable) => {
    if (event.type === 'written') throw new Error('dead')
    await note(event, durable)
  }
  await t.rejects(write(world, job, path), { message: /dead/ })
  await job.close()
}

void t.test('rows that were never committed are written again to the same file', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  await dieUncommitted(world, path)
  t.equal(asked(path).length, 2)
  await write(world, await world.open(), path)
  t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
})

void t.test('bytes that another program appends to uncommitted rows are not truncated', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  await dieUncommitted(world, path)
  const rows = readFileSync(path, 'utf8')
  const message = `another program has written to ${path} after byte ${rows.length}, where the rows of this job end`
  for (const added of ['x', 'a line of another program\n'.repeat(10_000)]) {
    writeFileSync(path, rows + added)
    const job = await world.open()
    await t.rejects(write(world, job, path), { code: 'CBS_OUTPUT', message })
    await job.close()
    t.equal(readFileSync(path, 'utf8'), rows + added)
  }
  t.same(openBelow(world.dir), [])
  truncateSync(path, rows.length)
  await write(world, await world.open(), path)
  t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
  t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

void t.test(
  'after a restart of the machine, bytes after the last commit are moved to a file beside the output',
  async t => {
    const world = await makeWorld(t)
    const path = `${world.dir}/out.jsonl`
    await dieUncommitted(world, path)
    const rows = readFileSync(path)
    const notes = Buffer.from('a line of another program\n'.repeat(100_000))
    writeFileSync(path, Buffer.concat([rows, notes]))
    writeFileSync(`${path}.cut-1`, 'from another day')
    const disk: Disk = { ...nodeDisk, bootedAt: () => Date.now() / 1000 }
    const cuts: object[] = []
    const onCut = (cut: object): void => void cuts.push(cut)
    await write(world, await world.open({ disk }), path, undefined, undefined, onCut)
    t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
    const keptIn = `${path}.cut-2`
    t.same(cuts, [{ path, keptIn, bytes: rows.length + notes.length }])
    t.ok(readFileSync(keptIn).equals(Buffer.concat([rows, notes])))
    t.equal(readFileSync(`${path}.cut-1`, 'utf8'), 'from another day')
    t.same(openBelow(path), [])
  },
)

void t.test('a new output stays away if the mark cannot be written', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  const disk = watched((what, at) => {
    if (what === 'write' && at.endsWith('output.end')) throw new Error('ENOSPC: no space left')
  })
  const job = await world.open({ disk })
  await t.rejects(write(world, job, path), { message: /ENOSPC/ })
  t.notOk(existsSync(path))
})

/** Ends a job whose write to the output stops in the middle. `fails` is called before each write to other files after that. */
async function dieInWrite(
  world: World,
  path: string,
  fails: (path: string) => void = () => {},
): Promise<void> {
  let isFull = false
  const disk = watched((what, at) => {
    if (what !== 'write') return
    if (isFull) fails(at)
    if (at !== path || isFull) return
    isFull = true
    appendFileSync(path, '{"custom')
    throw new Error('ENOSPC: no space left')
  })
  const job = await world.open({ disk })
  await t.rejects(write(world, job, path), { message: /ENOSPC/ })
  await job.close()
}

void t.test('bytes that another program appends after a failed write are not cut', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  await dieInWrite(world, path)
  appendFileSync(path, 'MINE\n')
  const job = await world.open({ disk: watched(() => {}) })
  await t.rejects(write(world, job, path), {
    code: 'CBS_OUTPUT',
    message: `another program has written to ${path} after byte 8`,
  })
  await job.close()
  t.equal(readFileSync(path, 'utf8'), '{"customMINE\n')
  truncateSync(path, 8)
  await write(world, await world.open({ disk: watched(() => {}) }), path)
  t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
  t.notOk(existsSync(`${path}.cut-1`))
})

void t.test('without a new mark, what is in the place of a failed write is kept', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  await dieInWrite(world, path, at => {
    if (at.endsWith('output.end')) throw new Error('EIO')
  })
  appendFileSync(path, 'MINE\n')
  await write(world, await world.open({ disk: watched(() => {}) }), path)
  t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
  t.equal(readFileSync(`${path}.cut-1`, 'utf8'), '{"customMINE\n')
})

for (const [name, spoil] of [
  ['missing', unlinkSync],
  ['damaged', (mark: string) => writeFileSync(mark, Buffer.alloc(64, 255))],
] as const) {
  void t.test(`bytes after the last commit are kept if the write mark is ${name}`, async t => {
    const world = await makeWorld(t)
    const path = `${world.dir}/out.jsonl`
    await dieUncommitted(world, path)
    appendFileSync(path, 'MY OWN NOTES\n')
    const before = readFileSync(path, 'utf8')
    const job = await world.open()
    spoil(`${job.store.folder}/output.end`)
    await write(world, job, path)
    t.same([asked(path).length, new Set(asked(path)).size], [6, 6])
    t.equal(readFileSync(`${path}.cut-1`, 'utf8'), before)
  })
}

void t.test(
  'if the bytes after the last commit cannot be copied, the output is not changed',
  async t => {
    const world = await makeWorld(t)
    const path = `${world.dir}/out.jsonl`
    await dieUncommitted(world, path)
    appendFileSync(path, 'MY OWN NOTES\n')
    const before = readFileSync(path, 'utf8')
    const disk = watched((what, at) => {
      if (what === 'write' && at === `${path}.cut-1`) throw new Error('ENOSPC: no space left')
    })
    const job = await world.open({ disk: { ...disk, bootedAt: () => Date.now() / 1000 } })
    await t.rejects(write(world, job, path), { message: /ENOSPC/ })
    t.equal(readFileSync(path, 'utf8'), before)
    t.same(openBelow(path), [])
  },
)

for (const [when, die] of [
  ['before the first commit', dieUncommitted],
  [
    'after a commit',
    async (world: World, path: string) => {
      const job = await world.open()
      job.on('event', ({ type }) => type === 'written' && appendFileSync(path, 'x'))
      await t.rejects(write(world, job, path), { code: 'CBS_OUTPUT' })
      await job.close()
    },
  ],
] as const)
  void t.test(`a file that took the output's name ${when} is never cut`, async t => {
    const world = await makeWorld(t)
    const path = `${world.dir}/out.jsonl`
    await die(world, path)
    const copy = `${readFileSync(path, 'utf8')}and a line of another program\n`
    writeFileSync(`${path}.new`, copy)
    renameSync(`${path}.new`, path)
    await t.rejects(write(world, await world.open(), path), {
      code: 'CBS_OUTPUT',
      message: /has changed since the last run/,
    })
    t.equal(readFileSync(path, 'utf8'), copy)
  })

void t.test('rows wait until their writer is open', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await write(world, job, `${world.dir}/out.jsonl`)
  const path = `${world.dir}/again.jsonl`
  let open = (): void => {}
  const opened = new Promise<void>(resolve => (open = resolve))
  const rowOf = jsonlRow()
  const rows = {
    open: async (): Promise<RowWriter> => await opened.then(() => ({ rowOf })),
    end: (): void => {},
  }
  const output = await openOutput({ job, out: { path }, detached: true, rows, errorRowOf: rowOf })
  const again = fetchResults({ client: world.client, job })
  const writing = pipeline(Readable.from([job.endedBatch(1)]), again, output)
  await until(() => output.writableLength > 0)
  t.equal(readFileSync(path, 'utf8'), '')
  open()
  await writing
  t.equal(asked(path).length, 2)
})

void t.test(
  'a detached output that fails removes its file, and nothing of another program',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    await write(world, job, `${world.dir}/out.jsonl`)
    const path = `${world.dir}/again.jsonl`
    for (const [change, left] of [
      [() => {}, undefined],
      [() => appendFileSync(path, 'theirs'), 'theirs'],
      [() => unlinkSync(path), undefined],
      [() => (unlinkSync(path), writeFileSync(path, 'theirs')), 'theirs'],
    ] as const) {
      const rowOf = (): Buffer => {
        change()
        throw new BatchStreamError('CBS_OUTPUT', 'no such row')
      }
      const rows = { rowOf }
      const output = await openOutput({
        job,
        out: { path },
        detached: true,
        rows,
        errorRowOf: rowOf,
      })
      const again = fetchResults({ client: world.client, job })
      await t.rejects(pipeline(Readable.from([job.endedBatch(1)]), again, output))
      t.equal(existsSync(path) ? readFileSync(path, 'utf8') : undefined, left)
      rmSync(path, { force: true })
    }
  },
)

void t.test('a detached output on a full disk removes its file', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await write(world, job, `${world.dir}/out.jsonl`)
  await job.close()
  const path = `${world.dir}/again.jsonl`
  const disk = watched((what, at) => {
    if (what !== 'write' || at !== path) return
    appendFileSync(path, '{"custom')
    throw new Error('ENOSPC: no space left')
  })
  const full = await world.open({ disk })
  const rows = { rowOf: jsonlRow() }
  const output = await openOutput({
    job: full,
    out: { path },
    detached: true,
    rows,
    errorRowOf: jsonlRow(),
  })
  const again = fetchResults({ client: world.client, job: full })
  await t.rejects(pipeline(Readable.from([full.endedBatch(1)]), again, output), {
    message: /ENOSPC/,
  })
  t.notOk(existsSync(path))
})

void t.test('what another program appends in the moment of a write stays in the file', async t => {
  const world = await makeWorld(t)
  const path = `${world.dir}/out.jsonl`
  let isAppended = false
  const disk = watched((what, at) => {
    if (what !== 'write' || at !== path || isAppended) return
    isAppended = true
    appendFileSync(path, 'theirs\n')
  })
  const job = await world.open({ disk })
  await t.rejects(write(world, job, path), {
    code: 'CBS_OUTPUT',
    message: /was changed by another program/,
  })
  t.match(readFileSync(path, 'utf8'), /^theirs\n\{.*\}\n/)
})

const TAMPERING: Readonly<Record<string, readonly [(path: string) => void, RegExp]>> = {
  deleted: [unlinkSync, /was deleted while rows were written to it/],
  replaced: [
    path => {
      writeFileSync(`${path}.new`, 'new')
      renameSync(`${path}.new`, path)
    },
    /was replaced by another file/,
  ],
  truncated: [path => truncateSync(path), /was changed by another program/],
  appended: [path => appendFileSync(path, 'x'), /was changed by another program/],
}

for (const [how, [tamper, message]] of Object.entries(TAMPERING)) {
  for (const at of [1, 3]) {
    void t.test(`a file that is ${how} after batch ${at} is noticed before the end`, async t => {
      const world = await makeWorld(t)
      const path = `${world.dir}/out.jsonl`
      const job = await world.open()
      let written = 0
      job.on('event', ({ type }) => {
        if (type === 'written' && ++written === at) tamper(path)
      })
      await t.rejects(write(world, job, path), { code: 'CBS_OUTPUT', message })
      const isThere = existsSync(path)
      const left = isThere ? readFileSync(path, 'utf8') : ''
      await job.close()
      const again = await world.open()
      await t.rejects(write(world, again, path), {
        code: 'CBS_OUTPUT',
        message: how === 'appended' ? /another program has written/ : /has changed/,
      })
      t.equal(existsSync(path), isThere)
      t.equal(isThere ? readFileSync(path, 'utf8') : '', left, 'it stays as it is')
      await again.close()
      const other = `${world.dir}/other.jsonl`
      await write(world, await world.open(), other)
      t.equal(new Set(asked(other)).size, 6)
      t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
    })
  }
}

void t.test('rows and failed rows never go to one file through a link', async t => {
  const world = await makeWorld(t)
  mkdirSync(`${world.dir}/a`)
  symlinkSync('a', `${world.dir}/b`)
  const rowOf = jsonlRow()
  const options = {
    out: { path: `${world.dir}/a/x` },
    errors: { path: `${world.dir}/b/x` },
    rows: { rowOf },
    errorRowOf: rowOf,
  }
  const message = /`output` and `errors` are the same file/
  await t.rejects(openOutput({ job: await world.open(), ...options }), {
    code: 'CBS_OUTPUT',
    message,
  })
  t.same(openBelow(`${world.dir}/a`), [])
  t.notOk(existsSync(`${world.dir}/a/x`), 'no empty file is left')
})

void t.test('rows and failed rows never go to one file with two names', async t => {
  const world = await makeWorld(t)
  const [out, errors] = [`${world.dir}/x`, `${world.dir}/y`]
  const rowOf = jsonlRow()
  const options = {
    out: { path: out },
    errors: { path: errors },
    rows: { rowOf },
    errorRowOf: rowOf,
  }
  const job = await world.open()
  const output = await openOutput({ job, ...options })
  output.destroy()
  await new Promise(resolve => output.once('close', resolve))
  unlinkSync(errors)
  linkSync(out, errors)
  await t.rejects(openOutput({ job, ...options }), {
    code: 'CBS_OUTPUT',
    message: /`output` and `errors` are the same file/,
  })
})

/** Options for a file to which nothing was committed, written under a lease. */
function leased(path: string, assertOwned: () => void): FileTargetOptions {
  return {
    disk: nodeDisk,
    path,
    option: 'output',
    mark: undefined,
    committed: NOTHING_COMMITTED,
    knownId: null,
    advice: 'not used',
    assertOwned,
  }
}

void t.test(
  'a file that a frozen worker of the job has written to is a temporary failure',
  async t => {
    const path = `${t.testdir()}/part.jsonl`
    const target = await FileTarget.open(leased(path, () => {}))
    t.teardown(() => target.close())
    target.write(Buffer.from('a row\n'))
    await target.commit()
    appendFileSync(path, 'a row of the frozen worker\n')
    target.write(Buffer.from('another row\n'))
    await t.rejects(target.commit(), {
      code: 'CBS_API',
      message: /an earlier worker of this job may have written to it.*run the same command again/,
    })
  },
)

void t.test('a worker whose lease has ended neither creates the file nor cuts it', async t => {
  const path = `${t.testdir()}/part.jsonl`
  const lost = new BatchStreamError('CBS_API', 'the lease on the job ended')
  const options = leased(path, () => {
    throw lost
  })
  await t.rejects(FileTarget.open(options), lost)
  t.notOk(existsSync(path))
  const target = await FileTarget.open({ ...options, assertOwned: undefined })
  target.write(Buffer.from('a row\n'))
  await target.commit()
  await target.close()
  const knownId = target.persistentId ?? null
  // What the new owner has written since this worker read the journal.
  await t.rejects(FileTarget.open({ ...options, knownId }), lost)
  let calls = 0
  const late = (): void => {
    calls += 1
    if (calls > 1) throw lost
  }
  await t.rejects(FileTarget.open({ ...options, knownId, assertOwned: late }), lost)
  t.equal(readFileSync(path, 'utf8'), 'a row\n')
})
